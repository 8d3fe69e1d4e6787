//! The picture of a person.

use cityevents_domain::ids::{ImageId, UserId};

use super::account::account_key;
use super::store::IdentityError;
use super::{Account, Identity};

impl Identity {
    /// Where the picture of a person is.
    pub(super) fn avatar_address(&self, account: &Account) -> Option<String> {
        let media = self.shared.media.as_ref()?;
        account.avatar.as_ref().map(|avatar| media.addresses().avatar(avatar))
    }

    /// Whether somebody has a picture as their avatar.
    pub(crate) async fn has_avatar(
        &self,
        user: &UserId,
        picture: &ImageId,
    ) -> Result<bool, IdentityError> {
        let account = self.account(user).await?;
        Ok(account.is_some_and(|account| account.avatar.as_ref() == Some(picture)))
    }

    /// Gives somebody another picture or none, and deletes the one before. `None` when the picture is
    /// not one of theirs that is ready, or there is no such account.
    pub(super) async fn set_avatar(
        &self,
        user: &UserId,
        picture: Option<ImageId>,
    ) -> Result<Option<Account>, IdentityError> {
        let Some(media) = &self.shared.media else { return Ok(None) };
        if let Some(picture) = &picture
            && !media.take_avatar(user, picture).await?
        {
            return Ok(None);
        }
        let mut before = None;
        let change = |account: &Account| {
            before = account.avatar.filter(|before| Some(*before) != picture);
            let stays = !account.is_somebodys() || account.avatar == picture;
            (!stays).then(|| Account { avatar: picture, ..account.clone() })
        };
        let account = self.shared.store.update(account_key(user), change).await?;
        let account = account.filter(Account::is_somebodys);
        if let (Some(before), Some(_)) = (before, &account) {
            media.discard(user, &before).await?;
        }
        Ok(account)
    }
}
