//! What members of a group hold, as the classic group protocol writes it down. Pure.
//!
//! The broker passes these bytes on without reading them: they are the group's own affair, a version,
//! then topics with their partitions, then whatever the group adds.

use std::sync::Arc;

use crate::log::TopicPartition;

/// Letters of the random part that a broker puts behind a name, the hyphen before it included.
const RANDOM_LETTERS: usize = 37;

/// The partitions in an assignment; `None` when it is none.
pub(super) fn partitions(bytes: &[u8]) -> Option<Vec<TopicPartition>> {
    let mut rest = bytes;
    let _version = u16::from_be_bytes(take(&mut rest)?);
    let topics = u32::from_be_bytes(take(&mut rest)?);
    let mut found = Vec::new();
    for _ in 0..topics {
        let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        let count = u32::from_be_bytes(take(&mut rest)?);
        for _ in 0..count {
            let partition = u32::from_be_bytes(take(&mut rest)?);
            found.push(TopicPartition::new(topic.clone(), partition));
        }
    }
    Some(found)
}

/// Who a member is: the name that it gave itself, without what the broker made of it.
pub(super) fn name_of(id: &str) -> &str {
    let name = id.len().checked_sub(RANDOM_LETTERS).and_then(|end| id.split_at_checked(end));
    match name {
        Some((name, random)) if !name.is_empty() && is_random(random) => name,
        _ => id,
    }
}

/// `-` and a UUID.
fn is_random(text: &str) -> bool {
    let is_in_place = |(index, letter): (usize, char)| match index {
        0 | 9 | 14 | 19 | 24 => letter == '-',
        _ => letter.is_ascii_hexdigit(),
    };
    text.chars().enumerate().all(is_in_place)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a broker hands it out: version 0, `b` with 1 and 258, `facts` with nothing, four bytes more.
    const BYTES: &[u8] =
        b"\0\0\0\0\0\x02\0\x01b\0\0\0\x02\0\0\0\x01\0\0\x01\x02\0\x05facts\0\0\0\0\0\0\0\0";

    #[test]
    fn partitions_are_read_topic_by_topic() {
        let places = [TopicPartition::new("b", 1), TopicPartition::new("b", 258)];
        assert_eq!(partitions(BYTES), Some(places.to_vec()));
    }

    #[test]
    fn what_is_cut_is_no_assignment() {
        let whole = BYTES.len() - 4;
        for length in 0..whole {
            assert_eq!(partitions(&BYTES[..length]), None, "{length}");
        }
        assert!(partitions(&BYTES[..whole]).is_some());
        let many = b"\0\0\xff\xff\xff\xff\0\x01b\0\0\0\0";
        assert_eq!(partitions(many), None, "more topics than there are bytes");
    }

    #[test]
    fn a_name_is_what_stands_before_the_random_part() {
        let id = "registration-1-4f1c0c5e-0b7e-4a8e-9d4e-0c4b1f6a2d3e";
        assert_eq!(name_of(id), "registration-1");
        for whole in ["registration-1", "", "4f1c0c5e-0b7e-4a8e-9d4e-0c4b1f6a2d3e", "ö"] {
            assert_eq!(name_of(whole), whole);
        }
    }
}
