//! What came of a command.

use axum::extract::State;
use axum::response::Response;
use cityevents_domain::ids::{CommandId, UserId};
use cityevents_kit::event_body::OutcomeBody;
use cityevents_kit::http::{PathId, Query};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{ErrorBody, IdPath, IdText, NotThere};
use cityevents_kit::seal::Receipts;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_views::{OutcomeRow, OutcomeVerdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::answer::Answer;
use crate::card::as_text;
use crate::freshness::{AsOf, Presented};
use crate::state::Reads;

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandOutcome)]
struct Body<'a> {
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = IdText)]
    id: CommandId,
    status: &'static str,
    /// The body that the call itself would have given.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<OutcomeBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ErrorBody>)]
    error: Option<Value>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// As the answer that took the command in gave it.
    receipt: Option<String>,
}

/// What came of a command. Those of others do not exist.
#[utoipa::path(
    get,
    path = "/api/commands/{id}",
    tag = "own",
    operation_id = "get_command",
    params(IdPath, Parameters),
    responses((status = 200, description = "as asked for", body = Body), NotThere),
    security(("bearer" = [])),
)]
pub(super) async fn one(
    State(reads): State<Reads>,
    PathId(id): PathId<CommandId>,
    Query(parameters): Query<Parameters>,
    caller: Caller,
    presented: Presented,
) -> Result<Response, Problem> {
    let as_of = reads.settle(presented).await?;
    let row = reads.views.outcomes.outcome(id, reads.now()).await;
    let row = row.map_err(|error| reads.failed(&error))?;
    match row {
        Some(row) if row.user == Some(caller.user) => Ok(told(&reads, &row, as_of)),
        None if is_pending(&reads, &id, &caller.user, parameters.receipt.as_deref()) => {
            let body = Body { id, status: "pending", outcome: None, error: None };
            Ok(Answer::new(body, as_of).into_response())
        }
        Some(_) | None => Err(Problem::new(ErrorCode::NotFound)),
    }
}

fn is_pending(reads: &Reads, id: &CommandId, user: &UserId, receipt: Option<&str>) -> bool {
    let receipts = Receipts::new(reads.cursors.clone());
    let proves = |receipt| receipts.proves(receipt, id, user, reads.now().as_millis());
    (reads.is_pending)(id, user) || receipt.is_some_and(proves)
}

fn told(reads: &Reads, row: &OutcomeRow, as_of: AsOf) -> Response {
    let refused = |problem: &Problem| ("refused", None, Some(problem.to_error_value()));
    let (status, outcome, error) = match &row.verdict {
        OutcomeVerdict::Accepted(outcome) | OutcomeVerdict::Unchanged(outcome) => {
            let outcome =
                row.event.as_ref().map(|event| OutcomeBody::new(event, outcome, &reads.pictures));
            ("accepted", outcome, None)
        }
        OutcomeVerdict::Refused(refusal) => refused(&Problem::from(refusal)),
        OutcomeVerdict::Undecodable => refused(&Problem::internal()),
    };
    Answer::new(Body { id: row.command, status, outcome, error }, as_of).into_response()
}
