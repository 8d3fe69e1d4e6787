//! What happened, as one hash, and as lines for whoever wants to read them.

use std::fmt::{Arguments, Write as _};

/// Takes everything that happens.
pub(crate) struct Trace<'a> {
    hasher: blake3::Hasher,
    story: Option<&'a mut dyn FnMut(&str)>,
    line: String,
}

impl<'a> Trace<'a> {
    pub(crate) fn new(story: Option<&'a mut dyn FnMut(&str)>) -> Self {
        Self { hasher: blake3::Hasher::new(), story, line: String::new() }
    }

    pub(crate) fn note(&mut self, what: Arguments<'_>) {
        self.line.clear();
        // Writing to a string cannot fail.
        let _written = self.line.write_fmt(what);
        self.hasher.update(self.line.as_bytes());
        self.hasher.update(b"\n");
        if let Some(story) = &mut self.story {
            story(&self.line);
        }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    pub(crate) fn hash(&self) -> [u8; 16] {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.hasher.finalize().as_bytes()[..16]);
        hash
    }
}
