//! One request: past the breaker, within the limits, and measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_kit::Breaker;
use cityevents_kit::breaker::BreakerOpen;
use cityevents_kit::telemetry::MetricsRegistry;
use prometheus_client::metrics::gauge::Gauge;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::ScyllaOptions;
use super::errors::Verdict;
use super::metrics::ScyllaMetrics;
use super::statements::{Statement, Statements};
use crate::error::ViewsError;

/// Sends requests.
pub(super) struct Requests {
    session: Arc<Session>,
    statements: Statements,
    breaker: Breaker,
    metrics: ScyllaMetrics,
    request_timeout: Duration,
    slots: Semaphore,
    /// Writes have fewer, so that a backlog being written leaves room for reads.
    write_slots: Semaphore,
    write_slots_max: usize,
}

/// Why a request did not do what was asked, with what is known of it.
pub(super) struct Failure {
    pub(super) verdict: Verdict,
    pub(super) error: ViewsError,
}

impl From<Failure> for ViewsError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

impl Requests {
    /// Prepares all statements of a keyspace.
    pub(super) async fn prepare(
        session: Session,
        options: &ScyllaOptions,
        breaker: Breaker,
        metrics: &MetricsRegistry,
    ) -> Result<Self, ViewsError> {
        let prepared = Statements::prepare(&session, &options.keyspace, options.request_timeout);
        let statements = prepared
            .await
            .map_err(|error| Verdict::of_prepare(&error).into_error(error.to_string()))?;
        let session = Arc::new(session);
        let slots = options.in_flight_max.clamp(4, Semaphore::MAX_PERMITS);
        let write_slots_max = slots * 3 / 4;
        let metrics = options.figures.of(metrics, slots, &session);
        Ok(Self {
            session,
            statements,
            breaker,
            metrics,
            request_timeout: options.request_timeout,
            slots: Semaphore::new(slots),
            write_slots: Semaphore::new(write_slots_max),
            write_slots_max,
        })
    }

    pub(super) const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub(super) const fn metrics(&self) -> &ScyllaMetrics {
        &self.metrics
    }

    /// How many writes may be under way.
    pub(super) const fn writes_max(&self) -> usize {
        self.write_slots_max
    }

    /// Sends one statement.
    pub(super) async fn send(
        &self,
        statement: Statement,
        values: impl SerializeRow,
    ) -> Result<QueryResult, Failure> {
        let prepared = self.statement(statement)?;
        self.run(statement, self.session.execute_unpaged(prepared, values)).await
    }

    /// The rows that a statement finds.
    pub(super) async fn rows(
        &self,
        statement: Statement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, ViewsError> {
        let result = self.send(statement, values).await?;
        result.into_rows_result().map_err(refused)
    }

    /// Sends one statement with many values, all of one partition, as one.
    pub(super) async fn write(
        &self,
        statement: Statement,
        mut values: Vec<Vec<CqlValue>>,
    ) -> Result<(), ViewsError> {
        self.breaker.check().map_err(open)?;
        let _slot = self.slot(&self.write_slots).await?;
        let prepared = self.statement(statement)?;
        if values.len() == 1 {
            let values = values.pop().unwrap_or_default();
            self.run(statement, self.session.execute_unpaged(prepared, values)).await?;
            return Ok(());
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_consistency(Consistency::LocalQuorum);
        batch.set_is_idempotent(true);
        batch.set_request_timeout(Some(self.request_timeout));
        for _ in &values {
            batch.append_statement(prepared.clone());
        }
        self.run(statement, self.session.batch(&batch, values)).await?;
        Ok(())
    }

    fn statement(&self, statement: Statement) -> Result<&PreparedStatement, Failure> {
        self.statements.get(statement).ok_or_else(|| Failure {
            verdict: Verdict::Refused,
            error: refused(format!("{} is not prepared", statement.label())),
        })
    }

    async fn slot<'a>(&self, slots: &'a Semaphore) -> Result<SemaphorePermit<'a>, ViewsError> {
        match tokio::time::timeout(self.request_timeout, slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => {
                Err(ViewsError::unavailable("too many requests to the tables are under way"))
            }
        }
    }

    async fn run(
        &self,
        statement: Statement,
        request: impl Future<Output = Result<QueryResult, ExecutionError>>,
    ) -> Result<QueryResult, Failure> {
        let refused_now = |error| Failure { verdict: Verdict::Unavailable, error };
        // Before the wait, so that who would be refused does not queue; the permit comes after it,
        // when the breaker may have opened.
        self.breaker.check().map_err(open).map_err(refused_now)?;
        let _slot = self.slot(&self.slots).await.map_err(refused_now)?;
        let permit = self.breaker.permit().map_err(open).map_err(refused_now)?;
        let _counted = Counted::up(&self.metrics.in_flight);
        let began = Instant::now();
        let result = request.await;
        self.metrics.took(statement, began.elapsed());
        match result {
            Ok(result) => {
                permit.succeed();
                Ok(result)
            }
            Err(error) => {
                let verdict = Verdict::of(&error);
                self.metrics.failed(statement, verdict);
                if verdict.is_failure() {
                    permit.fail()
                } else {
                    permit.succeed()
                }
                let error = verdict.into_error(format!("{}: {error}", statement.label()));
                Err(Failure { verdict, error })
            }
        }
    }
}

/// One more under way, until it is dropped.
struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    fn up(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn open(refusal: BreakerOpen) -> ViewsError {
    ViewsError::Unavailable { detail: refusal.to_string(), retry_after: Some(refusal.retry_after) }
}

/// An answer that makes no sense.
pub(super) fn refused(detail: impl ToString) -> ViewsError {
    ViewsError::Refused { detail: detail.to_string() }
}

/// All rows of an answer.
pub(super) fn collect<R>(rows: &QueryRowsResult) -> Result<Vec<R>, ViewsError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let typed = rows.rows::<R>().map_err(refused)?;
    typed.collect::<Result<_, _>>().map_err(refused)
}
