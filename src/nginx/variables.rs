//! Translates texts with variables: those that have one value are filled in, and the others must be variables that
//! `routes.yaml` has too.

use crate::nginx::tree::Directive;
use crate::routing::HostPattern;
use crate::template::Template;

/// The variables that have the same value for every request of a server, or of a location.
#[derive(Clone, Debug, Default)]
pub(super) struct Constants {
    /// The value of `$server_name`: the first name, if it is no wildcard.
    server_name: Option<String>,
    /// The value of `$server_port`, if the server listens on one port only.
    port: Option<u16>,
    /// Whether clients leave all of its ports out of `Host`, so that `$http_host` is `$host`.
    default_ports: bool,
    /// The ports, each once, and `None` for a Unix socket; `true` stands beside one with TLS.
    pub(super) ports: Vec<(Option<u16>, bool)>,
    /// The values of variables that `set` and `map` make.
    made: Vec<(String, String)>,
}

/// A piece of a text with variables.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum ValuePart<'t> {
    Text(&'t str),
    /// The name of a variable; empty for a dollar sign that begins none.
    Variable(&'t str),
}

impl Constants {
    /// The constants of a server with these names and ports, of which a Unix socket has none; `true` stands beside a port
    /// with TLS.
    pub(super) fn of(names: &[HostPattern], mut ports: Vec<(Option<u16>, bool)>) -> Self {
        ports.sort();
        ports.dedup();
        let server_name = match names.first() {
            Some(HostPattern::Exact(name)) => Some(name.clone()),
            _ => None,
        };
        Self {
            server_name,
            port: match ports.as_slice() {
                [(port, _)] => *port,
                _ => None,
            },
            default_ports: ports
                .iter()
                .all(|port| matches!(port, (Some(80), false) | (Some(443), true))),
            ports,
            made: Vec::new(),
        }
    }

    /// With these variables too.
    pub(super) fn with(mut self, made: &[(String, String)]) -> Self {
        self.made.extend(made.iter().cloned());
        self
    }

    /// As of a server at ports that clients name, so that `$http_host` is not `$host`.
    pub(super) fn with_other_ports(mut self) -> Self {
        self.default_ports = false;
        self
    }

    /// With the variables that the directives of a block set, in nginx's order. A variable that is set only for some
    /// requests, in an `if` or behind a `rewrite` that may end the block, is none.
    pub(super) fn within(&self, block: &[Directive]) -> Self {
        let mut inner = self.clone();
        let mut always = true;
        for directive in block {
            let flag = directive.args.last().map_or("", String::as_str);
            match directive.name.as_str() {
                "set" => inner.set(directive, always),
                "if" => {
                    for one in directive.inside().iter().filter(|one| one.name == "set") {
                        inner.set(one, false);
                    }
                }
                "rewrite" if matches!(flag, "last" | "break") => always = false,
                "break" => break,
                _ => {}
            }
        }
        inner
    }

    /// Obeys `set $name value`; if not `always`, the value is unknown from there on.
    fn set(&mut self, directive: &Directive, always: bool) {
        let name = directive.arg(0).trim_start_matches('$');
        let value = self.substitute(directive.arg(1), &[]);
        self.made.retain(|(known, _)| known != name);
        if always {
            self.made.push((name.to_owned(), value));
        }
    }

    /// Puts the constants in the place of their variables, and leaves other variables as they are; `more` are further
    /// constants by name.
    pub(super) fn substitute(&self, text: &str, more: &[(&str, &str)]) -> String {
        let mut filled = String::new();
        // Whether the text so far ends with a variable without braces.
        let mut open = None;
        let mut add = |text: &str, variable: bool| {
            if text.is_empty() && !variable {
                return;
            }
            if let Some(at) = open.take()
                && text.starts_with(is_letter)
                && !variable
            {
                let name = filled.split_off(at);
                filled += &format!("${{{}}}", &name[1..]);
            }
            if variable {
                // A capture has one digit, whatever follows.
                let is_name = text.starts_with(|c: char| is_letter(c) && !c.is_ascii_digit());
                open = is_name.then_some(filled.len());
                filled.push('$');
            }
            filled += text;
        };
        let port = self.port.map(|port| port.to_string());
        for part in parts(text) {
            let name = match part {
                ValuePart::Text(text) => {
                    add(text, false);
                    continue;
                }
                ValuePart::Variable(name) => name,
            };
            let made = self.made.iter().find(|(known, _)| known == name);
            let constant = match name {
                "server_name" if made.is_none() => self.server_name.as_deref(),
                "server_port" if made.is_none() => port.as_deref(),
                "http_host" if self.default_ports => Some("$host"),
                _ => {
                    let mut more = more.iter();
                    let further = more.find(|(known, _)| *known == name);
                    made.map(|(_, value)| value.as_str())
                        .or(further.map(|(_, value)| *value))
                }
            };
            let Some(value) = constant else {
                add(name, true);
                continue;
            };
            // The variables in a value are what was unknown when it was set.
            for part in parts(value) {
                match part {
                    ValuePart::Text(text) => add(text, false),
                    ValuePart::Variable(name) => add(name, true),
                }
            }
        }
        filled
    }

    /// Fills the constants into `text`; `more` are further ones by name.
    ///
    /// # Errors
    /// The reason why `routes.yaml` cannot have one of the variables.
    pub(super) fn fill(&self, text: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let filled = self.substitute(text, more);
        for name in names_in(&filled) {
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(format!(
                    "`${name}` is a part of a regex's match, which no route has"
                ));
            }
            if let Err(error) = format!("${{{name}}}").parse::<Template>() {
                return Err(error.to_string());
            }
        }
        Ok(filled)
    }
}

/// The pieces of a text with variables, `$name` and `${name}`.
pub(super) fn parts(text: &str) -> Vec<ValuePart<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        parts.push(ValuePart::Text(&rest[..at]));
        let behind = &rest[at + 1..];
        let braced = behind
            .strip_prefix('{')
            .and_then(|text| text.split_once('}'));
        let end = || match behind.starts_with(|c: char| c.is_ascii_digit()) {
            // nginx reads one digit.
            true => 1,
            false => behind.find(|c| !is_letter(c)).unwrap_or(behind.len()),
        };
        let (name, after) = braced.unwrap_or_else(|| behind.split_at(end()));
        parts.push(ValuePart::Variable(name));
        rest = after;
    }
    parts.push(ValuePart::Text(rest));
    parts
}

/// The names of the variables in a text.
pub(super) fn names_in(text: &str) -> impl Iterator<Item = &str> {
    parts(text).into_iter().filter_map(|part| match part {
        ValuePart::Variable(name) if !name.is_empty() => Some(name),
        _ => None,
    })
}

/// Whether the name of a variable can have this character.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;
    use crate::nginx::variables::Constants;

    /// Directives from `set $a b; if { set $a c; }`: words, and `{` before those of a block.
    fn block(text: &str) -> Vec<Directive> {
        let directive = |text: &str| {
            let mut words = text.split_whitespace().map(str::to_owned);
            Directive {
                name: words.next().unwrap_or_default(),
                args: words.collect(),
                block: None,
                place: SourceLine { file: 0, line: 1 },
                problem: None,
            }
        };
        let mut all = Vec::new();
        for text in text
            .split(';')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let (outer, inner) = text.split_once('{').unwrap_or((text, ""));
            all.push(Directive {
                block: (!inner.is_empty()).then(|| vec![directive(inner)]),
                ..directive(outer)
            });
        }
        all
    }

    #[test]
    fn a_variable_is_constant_where_it_is_always_set_to_the_same() {
        for (sets, text, filled) in [
            (
                "set $app web; set $port 1",
                "http://$app:$port",
                "http://web:1",
            ),
            ("set $a b; set $c $a$a", "$c", "bb"),
            ("set $a b; set $a c", "$a", "c"),
            ("set $a b; if { set $a c", "$a", "$a"),
            ("if { set $a c; set $a b", "$a", "b"),
            ("rewrite ^ /x; set $a b", "$a", "b"),
            ("rewrite ^/x /y break; set $a b", "$a", "$a"),
            ("break; set $a b", "$a", "$a"),
            ("set $a $host", "${a}x$a.y", "${host}x$host.y"),
            ("set $a $a/x", "$a", "$a/x"),
            ("set $a x", "${b}$a", "${b}x"),
            ("set $a x", "$1$a", "$1x"),
        ] {
            let constants = Constants::default().within(&block(sets));
            assert_eq!(constants.substitute(text, &[]), filled, "{sets}: {text}");
        }
    }

    #[test]
    fn constants_are_filled_in_and_others_must_be_known() {
        let names = ["chat.test".parse(), "b.test".parse()];
        let names: Vec<_> = names.into_iter().flatten().collect();
        let constants = Constants::of(&names, vec![(Some(443), true), (Some(443), true)]);
        let fill = |text| constants.fill(text, &[("proxy_host", "app:1")]);
        for (text, filled) in [
            (
                "https://$server_name:$server_port$request_uri",
                "https://chat.test:443$request_uri",
            ),
            ("https://${http_host}s", "https://${host}s"),
            ("$http_host${host}", "$host$host"),
            ("${host}s $scheme.", "${host}s $scheme."),
            ("$proxy_host$", "app:1$"),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
        assert_eq!(fill("https://$http_host/").as_deref(), Ok("https://$host/"));
        assert_eq!(fill("$uri"), Err("unknown variable `$uri`".to_owned()));
        assert_eq!(
            fill("/$1"),
            Err("`$1` is a part of a regex's match, which no route has".to_owned())
        );
        let several = Constants::of(&[], vec![(Some(80), false), (Some(8080), false)]);
        assert_eq!(
            several.fill("$http_host", &[]),
            Err("unknown variable `$http_host`".to_owned())
        );
        assert_eq!(
            several.fill("$server_port", &[]),
            Err("unknown variable `$server_port`".to_owned())
        );
    }
}
