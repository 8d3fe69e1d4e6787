//! The Avro records as they are on the wire, generated from `avro/*.avsc`: plain structs that
//! borrow from the bytes they were read from. No meaning is checked here; [`crate::message`] does.

use crate::codec::Wire;
use crate::error::DecodeError;

include!(concat!(env!("OUT_DIR"), "/wire.rs"));
