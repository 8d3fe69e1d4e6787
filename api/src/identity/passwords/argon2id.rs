//! Argon2id, computed in memory that each thread keeps.
//!
//! To take 19 MiB from the system and give them back for every password costs a tenth of the time, and
//! the whole process waits while a thread that gives way to everything else is held up in it. The
//! memory is wiped after each.
//!
//! Texts of hashes and their parameters are those of `argon2`; the work is done by `argon2-rust`,
//! which takes half as long where a processor has AVX-512. Both give the same, and [`check_library`]
//! looks if they do on this processor before anything that it makes is kept.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher, Error, PasswordHasher, Result};
use argon2::{Algorithm, Argon2, Params, Version};
use argon2_rust::params::{Memory, TagLen};

const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

thread_local! {
    static HASHER: RefCell<Option<argon2_rust::Hasher>> = const { RefCell::new(None) };
}

/// Hashes as [`params`] say, and checks hashes of any that were made otherwise.
pub(super) struct Argon2id;

/// What new hashes are made with.
pub(super) fn params() -> Result<Params> {
    Ok(Params::new(MEMORY_KIB, PASSES, LANES, None)?)
}

/// Compares with the other library on a hash that is made in no time.
pub(super) fn check_library() -> Result<()> {
    const FEW_KIB: u32 = 64;
    let params = Params::new(FEW_KIB, PASSES, LANES, None)?;
    let plain = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let (password, salt) = (b"correct horse battery", [7; argon2::RECOMMENDED_SALT_LEN]);
    let expected = plain.hash_password_with_salt(password, &salt)?;
    let hashed = Argon2id.hash_password_customized(password, &salt, None, None, params)?;
    if hashed == expected { Ok(()) } else { Err(Error::Crypto) }
}

impl PasswordHasher<PasswordHash> for Argon2id {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> Result<PasswordHash> {
        self.hash_password_customized(password, salt, None, None, params()?)
    }
}

impl CustomizedPasswordHasher<PasswordHash> for Argon2id {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<u32>,
        params: Params,
    ) -> Result<PasswordHash> {
        let algorithm = algorithm.map_or(Ok(Algorithm::Argon2id), Algorithm::try_from)?;
        let version = version.map_or(Ok(Version::V0x13), Version::try_from)?;
        let mut out = [0; Output::MAX_LENGTH];
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = out.get_mut(..length).ok_or(Error::OutputSize)?;
        let argon2 = of_library(algorithm, version, &params, length).ok_or(Error::ParamsInvalid)?;
        HASHER.with_borrow_mut(|hasher| {
            let hasher = hasher.get_or_insert_with(|| argon2.hasher());
            hasher.set_argon2(argon2);
            let hashed = hasher.hash_into_with_ad(password, salt, &[], params.data(), out);
            hashed.map_err(|_| Error::Crypto)
        })?;
        Ok(PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(out)?),
        })
    }
}

/// The same as the library that does the work says it.
fn of_library(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    length: usize,
) -> Option<argon2_rust::Argon2> {
    let algorithm = match algorithm {
        Algorithm::Argon2d => argon2_rust::Algorithm::Argon2d,
        Algorithm::Argon2i => argon2_rust::Algorithm::Argon2i,
        Algorithm::Argon2id => argon2_rust::Algorithm::Argon2id,
    };
    let version = argon2_rust::Version::from_u32(version.into())?;
    let params = argon2_rust::Params::builder()
        .memory(Memory::kib(params.m_cost().into()))
        .passes(params.t_cost())
        .lanes(params.p_cost())
        .threads(1)
        .tag_len(TagLen::bytes(u64::try_from(length).ok()?))
        .build();
    Some(argon2_rust::Argon2::new(algorithm, version, params.ok()?))
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::PasswordVerifier as _;
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn the_libraries_agree_on_this_processor() {
        assert_eq!(check_library(), Ok(()));
    }

    #[test]
    fn a_hash_of_the_reference_implementation_is_known() {
        let kept = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                    $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        let kept = PasswordHash::new(kept).unwrap();
        assert_eq!(Argon2id.verify_password(b"password", &kept), Ok(()));
        assert!(Argon2id.verify_password(b"passwore", &kept).is_err());
    }

    /// Of any kind, and whatever was computed before in the same memory.
    #[test]
    fn hashes_are_those_of_the_plain_function() {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..200 {
            let algorithms = [Algorithm::Argon2d, Algorithm::Argon2i, Algorithm::Argon2id];
            let algorithm = algorithms[random.random_range(0..3)];
            let version = [Version::V0x10, Version::V0x13][random.random_range(0..2)];
            let lanes = random.random_range(1..=4);
            let memory_kib = random.random_range(lanes * 8..=300);
            let passes = random.random_range(1..=3);
            let length = random.random_range(10..=Output::MAX_LENGTH);
            let params = Params::new(memory_kib, passes, lanes, Some(length)).unwrap();
            let mut password = vec![0; random.random_range(0..300)];
            let mut salt = vec![0; random.random_range(8..=48)];
            random.fill(&mut password[..]);
            random.fill(&mut salt[..]);
            let plain = Argon2::new(algorithm, version, params.clone());
            let expected = plain.hash_password_with_salt(&password, &salt).unwrap();
            let (name, version) = (algorithm.as_str(), version.into());
            let hashed = Argon2id.hash_password_customized(
                &password,
                &salt,
                Some(name),
                Some(version),
                params,
            );
            assert_eq!(hashed, Ok(expected), "{name} {memory_kib} {passes} {lanes} {length}");
        }
    }
}
