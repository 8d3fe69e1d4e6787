//! Pictures for cameras (QR codes), as shapes of the page itself.

use std::fmt::Write as _;

use fast_qr::{ECL, QRBuilder};
use minijinja::context;
use minijinja::value::Value;

/// What the standard wants free around a picture, in squares.
const QUIET: usize = 4;

/// A text as a picture: how many squares a side has, and the path that draws them. `None` for a
/// text that is too long for any.
pub(super) fn picture(text: &str) -> Option<Value> {
    // Middling correction: paper gets creased, and screens get scratched.
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    let mut path = String::new();
    for row in 0..code.size {
        let mut column = 0;
        while column < code.size {
            let dark = code[row][column..].iter().take_while(|module| module.value()).count();
            if dark > 0 {
                let (left, top) = (column + QUIET, row + QUIET);
                // Writing to a text never fails.
                let _always = write!(path, "M{left} {top}h{dark}v1h-{dark}z");
            }
            column += dark.max(1);
        }
    }
    Some(context! { side => code.size + 2 * QUIET, path => path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_becomes_squares_with_the_three_corners_that_cameras_look_for() {
        let picture = picture("https://city.example/check-in/AAAA").unwrap();
        let side = usize::try_from(picture.get_attr("side").unwrap()).unwrap();
        let path = picture.get_attr("path").unwrap().to_string();
        let far = side - QUIET - 7;
        for corner in [(QUIET, QUIET), (far, QUIET), (QUIET, far)] {
            let edge = format!("M{} {}h7v1h-7z", corner.0, corner.1);
            assert!(path.contains(&edge), "{edge} is not in {path}");
        }
        assert!(super::picture(&"A".repeat(10_000)).is_none());
    }
}
