//! Translates texts with variables: those that have one value in the whole server are filled in, and the others must be
//! variables that `routes.yaml` has too.

use crate::routing::HostPattern;
use crate::template::Template;

/// The variables that have the same value for every request of a server.
#[derive(Clone, Debug, Default)]
pub(super) struct Constants {
    /// The value of `$server_name`: the first name, if it is no wildcard.
    pub(super) server_name: Option<String>,
    /// The value of `$server_port`, if the server listens on one port only.
    pub(super) port: Option<u16>,
    /// Whether clients leave all of its ports out of `Host`, so that `$http_host` is `$host`.
    pub(super) default_ports: bool,
}

impl Constants {
    /// The constants of a server with these names and ports; `true` stands beside a port with TLS.
    pub(super) fn of(names: &[HostPattern], mut ports: Vec<(u16, bool)>) -> Self {
        ports.sort();
        ports.dedup();
        let server_name = match names.first() {
            Some(HostPattern::Exact(name)) => Some(name.clone()),
            _ => None,
        };
        Self {
            server_name,
            port: match ports.as_slice() {
                [(port, _)] => Some(*port),
                _ => None,
            },
            default_ports: ports
                .iter()
                .all(|port| matches!(port, (80, false) | (443, true))),
        }
    }

    /// Fills the constants into `text`; `more` are further ones by name.
    ///
    /// # Errors
    /// The reason why `routes.yaml` cannot have one of the variables.
    pub(super) fn fill(&self, text: &str, more: &[(&str, &str)]) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            filled += &rest[..at];
            let behind = &rest[at + 1..];
            let (name, after) = match behind
                .strip_prefix('{')
                .and_then(|text| text.split_once('}'))
            {
                Some(braced) => braced,
                None => behind.split_at(behind.find(|c| !is_letter(c)).unwrap_or(behind.len())),
            };
            rest = after;
            let port = self.port.map(|port| port.to_string());
            let constant = match name {
                "server_name" => self.server_name.as_deref(),
                "server_port" => port.as_deref(),
                "http_host" if self.default_ports => Some("${host}"),
                _ => more
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| *value),
            };
            match constant {
                Some("${host}") if !rest.starts_with(is_letter) => filled += "$host",
                Some(value) => filled += value,
                None if name.is_empty() => filled.push('$'),
                None if name.starts_with(|c: char| c.is_ascii_digit()) => {
                    return Err(format!(
                        "`${name}` is a part of a regex's match, which no route has"
                    ));
                }
                None => {
                    let braced = format!("${{{name}}}");
                    let variable = if rest.starts_with(is_letter) {
                        braced
                    } else {
                        format!("${name}")
                    };
                    if let Err(error) = variable.parse::<Template>() {
                        return Err(error.to_string());
                    }
                    filled += &variable;
                }
            }
        }
        Ok(filled + rest)
    }
}

/// Whether the name of a variable can have this character.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use crate::nginx::variables::Constants;

    #[test]
    fn constants_are_filled_in_and_others_must_be_known() {
        let names = ["chat.test".parse(), "b.test".parse()];
        let names: Vec<_> = names.into_iter().flatten().collect();
        let constants = Constants::of(&names, vec![(443, true), (443, true)]);
        let fill = |text| constants.fill(text, &[("proxy_host", "app:1")]);
        for (text, filled) in [
            (
                "https://$server_name:$server_port$request_uri",
                "https://chat.test:443$request_uri",
            ),
            ("https://${http_host}s", "https://${host}s"),
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
        let several = Constants::of(&[], vec![(80, false), (8080, false)]);
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
