//! Hashing of ids for look-ups. Nothing ever iterates in the order of these hashes, so they
//! influence speed only.

/// Folds 16 bytes into 64 well mixed bits by one wide multiplication.
pub(super) fn fold(bytes: &[u8; 16]) -> u64 {
    let value = u128::from_le_bytes(*bytes);
    let low = (value as u64) ^ 0x9e37_79b9_7f4a_7c15;
    let high = ((value >> 64) as u64) ^ 0xd1b5_4a32_d192_ed03;
    let product = u128::from(low).wrapping_mul(u128::from(high | 1));
    (product as u64) ^ ((product >> 64) as u64) ^ low.rotate_left(23)
}
