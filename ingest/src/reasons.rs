//! Free text about a person is sealed with that person's key before it enters the log, so that
//! erasing the key erases the text from every copy.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::SealedText;
use cityevents_kit::event_body::reason_place;
use cityevents_kit::seal::PersonKey;
use cityevents_views::{PersonKeys, ViewsError};

/// When it is worth trying again, unless more is known.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Why a reason cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum ReasonError {
    /// The tables do not answer.
    #[error("the key of a person cannot be read: {0}")]
    Keys(#[from] ViewsError),
    /// The machine gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

impl ReasonError {
    /// When it is worth trying again.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Keys(error) => error.retry_after().unwrap_or(RETRY_AFTER),
            Self::Random(_) => RETRY_AFTER,
        }
    }
}

/// Seals reasons. Cheap to clone.
#[derive(Clone)]
pub struct Reasons {
    keys: Arc<dyn PersonKeys>,
}

impl Reasons {
    /// With the keys of persons.
    pub fn new(keys: Arc<dyn PersonKeys>) -> Self {
        Self { keys }
    }

    /// Seals what is said about a person concerning an event. `None` when the person was erased:
    /// then nothing is kept about them.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub async fn seal(
        &self,
        event: &EventId,
        user: &UserId,
        text: &str,
    ) -> Result<Option<SealedText>, ReasonError> {
        let key = match self.keys.person_key(*user).await? {
            Some(key) => Some(key),
            None => {
                let made = cityevents_views::PersonKey(*PersonKey::generate()?.as_bytes());
                self.keys.insert_person_key_if_absent(*user, made).await?
            }
        };
        let Some(key) = key else { return Ok(None) };
        let sealed = PersonKey::from_bytes(key.0).seal(&reason_place(event, user), text)?;
        Ok(Some(SealedText(sealed)))
    }
}

#[cfg(test)]
mod tests {
    use cityevents_views::Views;

    use super::*;

    #[tokio::test]
    async fn a_reason_opens_with_the_persons_key_and_nothing_is_kept_about_the_erased() {
        let keys = Views::memory().person_keys;
        let reasons = Reasons::new(Arc::clone(&keys));
        let (event, user) = (EventId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let first = reasons.seal(&event, &user, "rude").await.unwrap().unwrap();
        let second = reasons.seal(&event, &user, "late").await.unwrap().unwrap();
        let key = keys.person_key(user).await.unwrap().unwrap();
        let key = PersonKey::from_bytes(key.0);
        let place = reason_place(&event, &user);
        assert_eq!(key.open(&place, &first.0).unwrap(), "rude");
        assert_eq!(key.open(&place, &second.0).unwrap(), "late");
        keys.erase_person_key(user).await.unwrap();
        assert_eq!(reasons.seal(&event, &user, "again").await.unwrap(), None);
    }
}
