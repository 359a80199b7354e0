//! Reads the condition of an `if`, and says for which requests it holds in the words of the key `when`.
//!
//! nginx is asked for many more things than `when` has: then the reason is returned, and who asked must see to it that
//! nothing opens.

use http::HeaderName;
use http::HeaderValue;

use crate::nginx::alternatives::alternatives;
use crate::nginx::route_when::RouteWhen;
use crate::nginx::tree::Directive;
use crate::nginx::variables::Constants;

/// For which requests an `if` holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Condition {
    /// It holds for every request of the server.
    Always,
    /// It holds for no request of the server.
    Never,
    /// It holds for these requests.
    When(RouteWhen),
    /// It holds for all requests but these.
    Unless(RouteWhen),
}

/// What becomes of the requests for which an `if` holds, as far as it matters for how exact a condition must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// They are refused, so that none may be missed.
    Refuses,
    /// They are answered in another way, or go to another upstream.
    Chooses,
}

/// How well `when` says what nginx's condition says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fit {
    /// The same requests meet both.
    Same,
    /// Some requests meet nginx's condition only.
    Narrower,
    /// Requests that are spelled in an unusual way meet one of the two only, such as parameters with `%` in them.
    Nearly,
}

/// The variable that an `if` asks, without its dollar; empty if it asks for a file.
pub(super) fn variable(directive: &Directive) -> String {
    IfCondition::of(directive).map_or_else(String::new, |question| question.variable)
}

/// Reads the condition of `directive`, an `if`.
///
/// # Errors
/// The reason why `when` cannot say it.
pub(super) fn read(
    directive: &Directive,
    constants: &Constants,
    purpose: Purpose,
) -> Result<Condition, String> {
    let question = IfCondition::of(directive).ok_or("`when` asks for no files")?;
    if let Some(condition) = of_ports(&question, constants) {
        return Ok(condition);
    }
    let unsayable = || format!("`when` cannot ask this about `${}`", question.variable);
    let (when, fit) = requests(&question).ok_or_else(unsayable)?;
    let is_said = match (fit, question.negated, purpose) {
        (Fit::Same, _, _) => true,
        // Who is refused unless he meets the condition may be refused too often, but may not pass too often.
        (Fit::Narrower, true, Purpose::Refuses) | (Fit::Nearly, _, Purpose::Chooses) => true,
        (Fit::Narrower, _, _) | (Fit::Nearly, _, Purpose::Refuses) => false,
    };
    match (is_said, question.negated) {
        (false, _) => Err(unsayable()),
        (true, false) => Ok(Condition::When(when)),
        (true, true) => Ok(Condition::Unless(when)),
    }
}

/// The parts of a condition.
#[derive(Debug)]
struct IfCondition {
    /// The name of the variable, without its dollar.
    variable: String,
    asks: Asks,
    /// Whether it is asked for the contrary, as in `!=` and `!~`.
    negated: bool,
}

/// What is asked of a variable.
#[derive(Debug)]
enum Asks {
    /// Whether it is neither empty nor `0`.
    IsSet,
    /// Whether it has this value.
    Equals(String),
    /// Whether it matches this regex, with case or without.
    Matches { regex: String, ignores_case: bool },
}

impl IfCondition {
    /// The question of an `if`; `None` if it is not about a variable.
    fn of(directive: &Directive) -> Option<Self> {
        let written = directive.args.join(" ");
        let inside = written.strip_prefix('(')?.strip_suffix(')')?.trim();
        let mut words = inside.splitn(3, ' ').filter(|word| !word.is_empty());
        let variable = words.next()?.strip_prefix('$')?.to_owned();
        let variable = match variable.strip_prefix('{') {
            Some(braced) => braced.strip_suffix('}')?.to_owned(),
            None => variable,
        };
        let Some(operator) = words.next() else {
            return Some(Self {
                variable,
                asks: Asks::IsSet,
                negated: false,
            });
        };
        let value = words.next().unwrap_or_default().to_owned();
        let (negated, operator) = match operator.strip_prefix('!') {
            Some(operator) => (true, operator),
            None => (false, operator),
        };
        // Nobody sends `0` where a field or a parameter is asked for at all.
        if operator == "=" && value.is_empty() {
            return Some(Self {
                variable,
                asks: Asks::IsSet,
                negated: !negated,
            });
        }
        let asks = match operator {
            "=" => Asks::Equals(value),
            "~" | "~*" => Asks::Matches {
                regex: value,
                ignores_case: operator == "~*",
            },
            _ => return None,
        };
        Some(Self {
            variable,
            asks,
            negated,
        })
    }

    /// Whether `value`, which the variable has, makes the `if` hold. `None` if only nginx can tell.
    fn holds_for(&self, value: &str) -> Option<bool> {
        let holds = match &self.asks {
            Asks::IsSet => !matches!(value, "" | "0"),
            Asks::Equals(other) if other.contains('$') => return None,
            Asks::Equals(other) => other == value,
            Asks::Matches {
                regex,
                ignores_case,
            } => {
                let found = alternatives(regex)?;
                let same = |text: &String| match ignores_case {
                    true => text.eq_ignore_ascii_case(value),
                    false => text == value,
                };
                match found.is_whole {
                    true => found.texts.iter().any(same),
                    // `~ http` matches `https` too.
                    false => return None,
                }
            }
        };
        Some(holds != self.negated)
    }
}

/// The condition on what the listener of a request decides: its scheme and its port. `None` if it is about something
/// else.
fn of_ports(question: &IfCondition, constants: &Constants) -> Option<Condition> {
    let value = |(port, tls): (Option<u16>, bool)| {
        let value = match (question.variable.as_str(), tls) {
            ("scheme", true) => "https".to_owned(),
            ("scheme", false) => "http".to_owned(),
            ("https", true) => "on".to_owned(),
            ("https", false) => String::new(),
            ("server_port", _) => port.map_or_else(String::new, |port| port.to_string()),
            _ => return None,
        };
        Some(value)
    };
    let (mut holding, mut others) = (Vec::new(), Vec::new());
    for port in &constants.ports {
        let ports = match question.holds_for(&value(*port)?)? {
            true => &mut holding,
            false => &mut others,
        };
        ports.push(port.0);
    }
    match (holding.is_empty(), others.is_empty()) {
        (true, _) => Some(Condition::Never),
        (_, true) => Some(Condition::Always),
        // One port with TLS at one of its addresses only is not told apart.
        _ if holding.iter().any(|port| others.contains(port)) => None,
        // `when: port` holds for nobody who comes through a Unix socket, so that one without a port is not told apart either.
        _ => Some(Condition::When(RouteWhen {
            port: holding.into_iter().collect::<Option<Vec<u16>>>()?,
            ..RouteWhen::default()
        })),
    }
}

/// The requests of which the question, without its negation, is true, and how well that is said.
fn requests(question: &IfCondition) -> Option<(RouteWhen, Fit)> {
    let variable = question.variable.as_str();
    if matches!(variable, "http_upgrade" | "http_connection") {
        return asks_for_upgrade(question).then(|| {
            let when = RouteWhen {
                websocket: true,
                ..RouteWhen::default()
            };
            (when, Fit::Same)
        });
    }
    let (values, mut fit) = values(&question.asks, variable == "request_method")?;
    if values
        .iter()
        .any(|value| value.is_empty() || value.contains('$'))
    {
        return None;
    }
    let mut when = RouteWhen::default();
    if variable == "request_method" {
        let is_method = |value: &String| {
            value
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte == b'-')
        };
        if !values.iter().all(is_method) {
            return None;
        }
        when.method = values;
    } else if let Some(name) = variable.strip_prefix("arg_") {
        // nginx compares the value as it is written, and the name without case.
        if values
            .iter()
            .any(|value| value.contains(['%', '+', '&', '#']))
        {
            return None;
        }
        if fit == Fit::Same {
            fit = Fit::Nearly;
        }
        when.query.push((name.to_owned(), values));
    } else if let Some(name) = variable.strip_prefix("http_") {
        // nginx joins the lines of some fields into one value, and asks only for the first line of others.
        if matches!(name, "x_forwarded_for" | "cookie" | "host") {
            return None;
        }
        let name = field_name(name)?;
        if values
            .iter()
            .any(|value| HeaderValue::from_str(value).is_err() || !value.is_ascii())
        {
            return None;
        }
        when.header.push((name, values));
    } else {
        return None;
    }
    Some((when, fit))
}

/// The values for which the question is true, and how well that is said.
fn values(asks: &Asks, has_no_case: bool) -> Option<(Vec<String>, Fit)> {
    match asks {
        Asks::IsSet => None,
        Asks::Equals(value) => Some((vec![value.clone()], Fit::Same)),
        Asks::Matches {
            regex,
            ignores_case,
        } => {
            // A method that contains another is none that a client sends; other values go on behind what is asked for.
            let found = alternatives(regex).filter(|found| found.is_whole || has_no_case)?;
            let mut texts = found.texts;
            if has_no_case && *ignores_case {
                texts
                    .iter_mut()
                    .for_each(|text| text.make_ascii_uppercase());
            }
            let has_letters = texts
                .iter()
                .any(|text| text.contains(|c: char| c.is_ascii_alphabetic()));
            let fit = match found.is_whole && (has_no_case || !ignores_case || !has_letters) {
                true => Fit::Same,
                false => Fit::Narrower,
            };
            Some((texts, fit))
        }
    }
}

/// Whether the question, without its negation, is whether a request asks for an upgrade to `websocket`.
///
/// nginx compares the field alone. A request that has it, but does not ask for an upgrade, goes on without it here, so
/// that no upstream upgrades it.
fn asks_for_upgrade(question: &IfCondition) -> bool {
    let word = match question.variable.as_str() {
        "http_upgrade" => "websocket",
        _ => "upgrade",
    };
    match &question.asks {
        Asks::IsSet => word == "websocket",
        Asks::Equals(value) => value.eq_ignore_ascii_case(word),
        Asks::Matches { regex, .. } => {
            let regex = regex.trim_start_matches("(?i)");
            let bare = regex.trim_start_matches('^').trim_end_matches('$');
            let bare = bare.trim_start_matches(".*").trim_end_matches(".*");
            let bare = bare
                .strip_prefix('(')
                .and_then(|bare| bare.strip_suffix(')'))
                .unwrap_or(bare);
            bare.eq_ignore_ascii_case(word) || (word == "websocket" && matches!(regex, ".+" | "."))
        }
    }
}

/// The name of the field that nginx shows as `$http_NAME`.
fn field_name(variable: &str) -> Option<String> {
    let name = variable.replace('_', "-");
    HeaderName::from_bytes(name.as_bytes()).ok()?;
    let words: Vec<String> = name
        .split('-')
        .map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        })
        .collect();
    Some(words.join("-"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::nginx::conditions::Condition;
    use crate::nginx::conditions::Purpose;
    use crate::nginx::conditions::read;
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;
    use crate::nginx::variables::Constants;

    fn shown(condition: &str, purpose: Purpose) -> String {
        let directive = Directive {
            name: "if".to_owned(),
            args: condition
                .split(' ')
                .map(|word| word.replace("''", ""))
                .collect(),
            block: Some(Vec::new()),
            place: SourceLine { file: 0, line: 1 },
            problem: None,
        };
        let constants = Constants::of(&[], vec![(Some(80), false), (Some(443), true)]);
        match read(&directive, &constants, purpose) {
            Ok(Condition::Always) => "always".to_owned(),
            Ok(Condition::Never) => "never".to_owned(),
            Ok(Condition::When(when)) => format!("when {}", when.written()),
            Ok(Condition::Unless(when)) => format!("unless {}", when.written()),
            Err(_) => "-".to_owned(),
        }
    }

    #[test]
    fn a_condition_is_said_in_the_words_of_when() {
        for (condition, chooses, refuses) in [
            ("($scheme = http)", "when { port: 80 }", "when { port: 80 }"),
            (
                "($scheme != https)",
                "when { port: 80 }",
                "when { port: 80 }",
            ),
            ("($https)", "when { port: 443 }", "when { port: 443 }"),
            ("($https = '')", "when { port: 80 }", "when { port: 80 }"),
            ("($server_port ~ ^(80|443)$)", "always", "always"),
            ("($server_port = 8080)", "never", "never"),
            ("($scheme ~ http)", "-", "-"),
            (
                "($request_method = OPTIONS)",
                "when { method: OPTIONS }",
                "when { method: OPTIONS }",
            ),
            (
                "($request_method !~ ^(GET|HEAD)$)",
                "unless { method: [GET, HEAD] }",
                "unless { method: [GET, HEAD] }",
            ),
            (
                "($request_method !~ GET|HEAD)",
                "-",
                "unless { method: [GET, HEAD] }",
            ),
            (
                "($request_method ~* ^(get)$)",
                "when { method: GET }",
                "when { method: GET }",
            ),
            ("($request_method ~ TRACE)", "-", "-"),
            (
                "($http_upgrade = websocket)",
                "when { websocket: true }",
                "when { websocket: true }",
            ),
            (
                "($http_upgrade ~* ^websocket$)",
                "when { websocket: true }",
                "when { websocket: true }",
            ),
            (
                "($http_upgrade != '')",
                "when { websocket: true }",
                "when { websocket: true }",
            ),
            (
                "($http_upgrade)",
                "when { websocket: true }",
                "when { websocket: true }",
            ),
            (
                "($http_x_key != secret)",
                "unless { header: { X-Key: secret } }",
                "unless { header: { X-Key: secret } }",
            ),
            ("($http_x_key)", "-", "-"),
            ("($http_x_key = '')", "-", "-"),
            ("($http_x_forwarded_for = 10.0.0.1)", "-", "-"),
            (
                "($http_x_a !~* ^(a|b)$)",
                "-",
                "unless { header: { X-A: [a, b] } }",
            ),
            ("($http_x_a ~* ^a$)", "-", "-"),
            ("($arg_token != s)", "unless { query: { token: s } }", "-"),
            ("($arg_EIO = 3)", "when { query: { EIO: \"3\" } }", "-"),
            ("($arg_x = a%20b)", "-", "-"),
            ("($cookie_a = b)", "-", "-"),
            ("($remote_addr = 127.0.0.1)", "-", "-"),
            ("(-f $request_filename)", "-", "-"),
            ("(!-e $request_filename)", "-", "-"),
            ("($invalid_referer)", "-", "-"),
            ("($http_x_a = $host)", "-", "-"),
        ] {
            assert_eq!(
                shown(condition, Purpose::Chooses),
                chooses,
                "{condition} chooses"
            );
            assert_eq!(
                shown(condition, Purpose::Refuses),
                refuses,
                "{condition} refuses"
            );
        }
    }
}
