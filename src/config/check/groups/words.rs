//! Values that are one of a few words.

use crate::config::check::Checker;
use crate::config::diagnostic::quoted;
use crate::config::schema::Node;
use crate::config::values::nearest;

/// The words that a key may be.
pub(super) struct Words {
    /// The key.
    pub(super) key: &'static str,
    /// The words.
    pub(super) known: &'static [&'static str],
    /// All that the key may be, for a word that is near none of them.
    pub(super) help: &'static str,
}

impl Words {
    /// Notes a word that the key cannot be, with what it might have been.
    pub(super) fn refuse(&self, text: &str, node: &Node, checker: &mut Checker<'_>) {
        let word = text.trim().to_ascii_lowercase().replace(['-', ' '], "_");
        let help = match nearest(&word, self.known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => self.help.to_owned(),
        };
        let message = format!("`{}` cannot be {}", self.key, quoted(text));
        checker.error(&node.span, message).help(help);
    }
}
