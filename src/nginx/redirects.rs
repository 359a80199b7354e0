//! Translates `proxy_redirect` and `proxy_cookie_path`: where answers lead, and where cookies are sent back to.
//!
//! nginx's `default` is written out as the pair that it stands for, since that of `routes.yaml` means more: it also changes
//! addresses that name the client's host or none.

use crate::answer_fields::Replacement;
use crate::nginx::notes::Notes;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::values::is_off;
use crate::nginx::variables::Constants;

/// Texts that are looked for, each with what takes its place.
pub(super) type Pairs = Vec<(String, String)>;

/// A `proxy_pass`, and what it is asked with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) pass: &'a Directive,
    /// The location that it stands in.
    pub(super) block: &'a Directive,
    /// Whether the upstream is sent the host of `proxy_pass`, and may call itself so.
    pub(super) by_own_host: bool,
}

/// The texts so far, and what could not be said.
pub(super) struct Reader<'a, 'n, 't> {
    pub(super) constants: &'a Constants,
    pub(super) notes: &'n mut Notes<'t>,
    pub(super) comments: &'n mut Vec<String>,
}

impl Reader<'_, '_, '_> {
    /// The pairs of `proxy_redirect` that are in force in `scope`.
    ///
    /// nginx's default is written out where an upstream may have use of it: where the host that it is sent, or a path in
    /// `proxy_pass`, is not what clients ask for.
    pub(super) fn redirects(&mut self, scope: &Scope<'_>, asked: Asked<'_>) -> Pairs {
        let mut pairs = Pairs::new();
        let own = own_pair(asked);
        if scope.redirects.is_empty() {
            let has_path = own.as_ref().is_some_and(|own| own.has_path);
            if has_path || asked.by_own_host {
                pairs.extend(own.map(|own| own.pair));
            }
        }
        for directive in &scope.redirects {
            if is_off(directive) {
                let why = "answers go on as the upstream wrote them, `Location` too";
                self.notes.needless(directive, why);
            } else if directive.arg(0) == "default" {
                pairs.extend(own_pair(asked).map(|own| own.pair));
            } else {
                self.add(directive, &mut pairs);
            }
        }
        pairs
    }

    /// The pairs of `proxy_cookie_path` that are in force in `scope`.
    pub(super) fn cookie_paths(&mut self, scope: &Scope<'_>) -> Pairs {
        let mut pairs = Pairs::new();
        for directive in &scope.cookie_paths {
            if is_off(directive) {
                let why = "cookies go on as the upstream wrote them";
                self.notes.needless(directive, why);
            } else {
                self.add(directive, &mut pairs);
            }
        }
        pairs
    }

    /// Adds the two arguments of a directive to the pairs. What is looked for twice is found where it stands first.
    fn add(&mut self, directive: &Directive, pairs: &mut Pairs) {
        let from = match directive.arg(0) {
            // A dollar sign in a regex begins no variable.
            regex if regex.starts_with('~') => regex.to_owned(),
            text => self.constants.substitute(text, &[]),
        };
        let to = self.constants.substitute(directive.arg(1), &[]);
        match Replacement::new(&from, &to) {
            Ok(_) if pairs.iter().any(|(known, _)| *known == from) => {}
            Ok(_) => pairs.push((from, to)),
            Err(error) => {
                let comment = self.notes.left(directive, error.to_string());
                self.comments.push(comment);
            }
        }
    }
}

/// What nginx's `proxy_redirect default` stands for.
struct OwnPair {
    pair: (String, String),
    /// Whether the `proxy_pass` has a path.
    has_path: bool,
}

/// The pair of a `proxy_pass`. With a variable in it there is none.
fn own_pair(asked: Asked<'_>) -> Option<OwnPair> {
    let url = asked.pass.arg(0);
    let (_, rest) = url.split_once("://")?;
    if url.contains('$') || rest.starts_with("unix:") {
        return None;
    }
    let has_path = rest.contains(['/', '?']);
    let path = asked.block.args.last()?;
    Some(OwnPair {
        pair: match has_path {
            true => (url.to_owned(), path.clone()),
            false => (format!("{url}/"), "/".to_owned()),
        },
        has_path,
    })
}
