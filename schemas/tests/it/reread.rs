//! Reads any record and writes it again.

use cityevents_schemas::message::{
    decode_account_change, decode_command, decode_email, decode_engagement, decode_event,
    decode_link, decode_registration, decode_reply, decode_trend, decode_user_signal,
    encode_account_change, encode_command, encode_email, encode_engagement, encode_event,
    encode_link, encode_registration, encode_reply, encode_trend, encode_user_signal,
};
use cityevents_schemas::{DecodeError, Record};

/// Reads a record with the current reader and writes it again.
pub fn rewritten(record: Record, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::new();
    match record {
        Record::EventCommand => encode_command(&decode_command(bytes)?, &mut out),
        Record::EventFact => {
            let link = decode_link(bytes)?;
            let genesis = link.genesis.as_ref();
            encode_link(link.fact.as_ref(), &link.closed, genesis, link.at, &mut out);
        }
        Record::CommandReply => encode_reply(&decode_reply(bytes)?, &mut out),
        Record::Event => encode_event(&decode_event(bytes)?, &mut out),
        Record::Registration => {
            let row = decode_registration(bytes)?;
            encode_registration(&row.event, &row.registration, &mut out);
        }
        Record::AccountChange => encode_account_change(&decode_account_change(bytes)?, &mut out),
        Record::Email => encode_email(&decode_email(bytes)?, &mut out),
        Record::Engagement => encode_engagement(&decode_engagement(bytes)?, &mut out),
        Record::UserSignal => encode_user_signal(&decode_user_signal(bytes)?, &mut out),
        Record::Trend => encode_trend(&decode_trend(bytes)?, &mut out),
    }
    Ok(out)
}
