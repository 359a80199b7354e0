//! Reads what nginx does with a request before it asks who may pass: `if`, `return`, `rewrite` and `break`, which nginx
//! calls the rewrite phase. A server has one before a location is chosen, and each location has one of its own.
//!
//! The directives become [`Step`]s in the order in which nginx obeys them. What an `if` does that cannot be said here is
//! a step too, since it may keep a request from the upstream: nothing may open because it was left out.

use crate::nginx::conditions;
use crate::nginx::conditions::Condition;
use crate::nginx::conditions::Purpose;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::redirect;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;

/// One step of a rewrite phase.
#[derive(Clone, Debug)]
pub(super) enum Step<'t> {
    /// Every request meets with this, which stands in an `if` that holds for all of them if there is one.
    All(Outcome<'t>, Option<&'t Directive>),
    /// The requests that meet the condition meet with this, the others go on to the next step.
    /// The outcome stands in this `if`, of which the `add_header`s are in force then.
    Some(Condition, Outcome<'t>, &'t Directive),
    /// Some requests go no further, or get to this `proxy_pass`, because of the directive, and wsgate cannot tell which.
    Unknown(&'t Directive, String, Option<&'t Directive>),
    /// This `rewrite` may hand requests on to another location.
    HandOn(&'t Directive),
    /// A location was chosen that has this `limit_except`: other methods skip the rest of the phase.
    LimitExcept(&'t Directive),
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(super) enum Outcome<'t> {
    /// A `return` answers it.
    Return(&'t Directive),
    /// A `rewrite` redirects it.
    Redirect(&'t Directive),
    /// If it gets to an upstream, it gets to this `proxy_pass`.
    ProxyPass {
        /// The directive.
        pass: &'t Directive,
        /// Whether the phase ends here, because of a `break`.
        ends: bool,
    },
}

/// The most `if` blocks of a location that choose an upstream and let the phase go on. Each of them doubles the number
/// of routes.
const MOST_CHOICES: usize = 4;

/// Directives in an `if` that neither answer a request nor lead it elsewhere.
const HARMLESS: &[&str] = &[
    "set",
    "break",
    "add_header",
    "add_trailer",
    "more_set_headers",
    "more_clear_headers",
    "more_set_input_headers",
    "expires",
    "access_log",
    "error_log",
    "log_not_found",
    "log_subrequest",
    "rewrite_log",
    "uninitialized_variable_warn",
    "limit_rate",
    "limit_rate_after",
    "gzip",
    "gzip_types",
    "charset",
    "default_type",
    "etag",
    "root",
    "sub_filter",
    "sub_filter_once",
];

/// The steps of the rewrite phase of a block with these `directives`. What gets lost without keeping anybody out is
/// noted in `comments`.
pub(super) fn steps<'t>(
    directives: impl IntoIterator<Item = &'t Directive>,
    constants: &Constants,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<Step<'t>> {
    let mut steps = Vec::new();
    let mut choices = 0;
    for directive in directives {
        match directive.name.as_str() {
            "return" => steps.push(Step::All(Outcome::Return(directive), None)),
            "break" => break,
            "rewrite" if redirect::is_for_every_path(directive) => {
                steps.push(Step::All(Outcome::Redirect(directive), None));
            }
            "rewrite" => steps.push(Step::HandOn(directive)),
            "if" => {
                let step = match of_if(directive, constants) {
                    Ok(Some(Step::Some(condition, outcome, _))) if !outcome.ends() => {
                        choices += 1;
                        match choices <= MOST_CHOICES {
                            true => Step::Some(condition, outcome, directive),
                            false => {
                                let why = "there are too many of them".to_owned();
                                Step::Unknown(directive, why, outcome.pass())
                            }
                        }
                    }
                    Ok(Some(step)) => step,
                    Ok(None) => {
                        notes.needless(directive, "it holds for no request of its server");
                        continue;
                    }
                    Err(why) => {
                        comments.push(notes.left(directive, why));
                        continue;
                    }
                };
                note_inside(directive, &step, notes, comments);
                steps.push(step);
            }
            _ => continue,
        }
        if matches!(steps.last(), Some(Step::All(outcome, _)) if outcome.ends()) {
            break;
        }
    }
    steps
}

/// Notes what stands in an `if` beside its outcome. Directives of the rewrite phase are the outcome, or are not reached.
fn note_inside(
    directive: &Directive,
    step: &Step<'_>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) {
    if matches!(step, Step::Unknown(..)) {
        return;
    }
    let phase = ["return", "rewrite", "break", "set"];
    let others = directive.inside().iter();
    for other in others.filter(|one| !phase.contains(&one.name.as_str())) {
        let one = std::slice::from_ref(other);
        note_rest(one, &Scope::default(), notes, comments);
    }
}

/// The step of an `if`; `None` if it never holds.
///
/// # Errors
/// The reason why nothing comes of it, where that keeps nobody out.
fn of_if<'t>(directive: &'t Directive, constants: &Constants) -> Result<Option<Step<'t>>, String> {
    let outcome = match Inside::of(directive) {
        Inside::Harmless => {
            return Err("what it adds for some requests is lost; it keeps nobody out".to_owned());
        }
        Inside::Unknown(why) => return Ok(Some(Step::Unknown(directive, why, None))),
        Inside::Outcome(outcome) => outcome,
    };
    let purpose = outcome.purpose();
    let asked = conditions::variable(directive);
    Ok(match conditions::read(directive, constants, purpose) {
        Ok(Condition::Always) => Some(Step::All(outcome, Some(directive))),
        Ok(Condition::Never) => None,
        Ok(condition) => Some(Step::Some(condition, outcome, directive)),
        // Clients choose the name that they ask for, and here another answers than the one that is redirected to.
        Err(why) if outcome.is_redirect() && matches!(asked.as_str(), "host" | "http_host") => {
            return Err(format!("{why}; its requests are not redirected"));
        }
        Err(why) => Some(Step::Unknown(directive, why, outcome.pass())),
    })
}

/// What stands inside an `if`.
enum Inside<'t> {
    /// Nothing that answers a request or leads it elsewhere.
    Harmless,
    Outcome(Outcome<'t>),
    /// Something that routes cannot do.
    Unknown(String),
}

impl<'t> Inside<'t> {
    fn of(condition: &'t Directive) -> Self {
        let mut pass = None;
        let mut ends = false;
        for directive in condition.inside() {
            match directive.name.as_str() {
                // Nothing of the phase is obeyed behind a `break`.
                "return" | "rewrite" if ends => {}
                "return" => return Self::Outcome(Outcome::Return(directive)),
                "rewrite" if redirect::is_for_every_path(directive) => {
                    return Self::Outcome(Outcome::Redirect(directive));
                }
                "proxy_pass" => pass = Some(directive),
                "break" => ends = true,
                name if HARMLESS.contains(&name) => {}
                name => return Self::Unknown(format!("its `{name}` is not done")),
            }
        }
        match pass {
            Some(pass) => Self::Outcome(Outcome::ProxyPass { pass, ends }),
            None => Self::Harmless,
        }
    }
}

impl<'t> Outcome<'t> {
    /// Whether no further step is asked.
    fn ends(&self) -> bool {
        match self {
            Self::Return(_) | Self::Redirect(_) => true,
            Self::ProxyPass { ends, .. } => *ends,
        }
    }

    /// The `proxy_pass` to which it leads.
    fn pass(&self) -> Option<&'t Directive> {
        match self {
            Self::ProxyPass { pass, .. } => Some(pass),
            Self::Return(_) | Self::Redirect(_) => None,
        }
    }

    /// Whether the answer is a redirect.
    fn is_redirect(&self) -> bool {
        match self {
            Self::Return(returns) => {
                matches!(returns.arg(0), "301" | "302" | "303" | "307" | "308")
                    || returns.arg(0).contains("://")
            }
            Self::Redirect(_) => true,
            Self::ProxyPass { .. } => false,
        }
    }

    /// Why nginx asks the condition.
    fn purpose(&self) -> Purpose {
        match self {
            Self::Return(returns) if returns.arg(0).starts_with(['4', '5']) => Purpose::Refuses,
            _ => Purpose::Chooses,
        }
    }
}
