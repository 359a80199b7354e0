//! Conditions on a request beside its host and its path: `when: { query: { EIO: "3" } }`.

use http::HeaderMap;
use http::HeaderName;
use http::Method;

use crate::headers::values::has_value;

/// The conditions of a route, all of which must hold. Where one has several values, any of them will do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct When {
    /// Parameters of the query and the values that each may have.
    pub query: Vec<(String, Vec<String>)>,
    /// Header fields and the values that each may have.
    pub header: Vec<(HeaderName, Vec<String>)>,
    /// The methods; without any, every method.
    pub method: Vec<Method>,
    /// The ports that the client may have connected to; without any, every port.
    pub port: Vec<u16>,
    /// Whether the request asks for a WebSocket or does not; without this, either.
    pub websocket: Option<bool>,
}

/// What conditions look at in a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The method.
    pub method: &'a Method,
    /// The header fields as the client sent them.
    pub headers: &'a HeaderMap,
    /// The query without its question mark.
    pub query: Option<&'a str>,
    /// The port that the client connected to.
    pub port: u16,
    /// Whether the request asks for a WebSocket, by the rules by which it is turned into a tunnel.
    pub is_upgrade: bool,
}

impl When {
    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all conditions hold.
    ///
    /// Of a parameter that comes twice the first counts, as in nginx's `$arg_name`; its value is decoded once. Names and
    /// values of parameters are compared with case, fields as [`has_value`] compares them.
    pub fn holds(&self, asked: &RequestFacts<'_>) -> bool {
        self.unmet(asked).is_none()
    }

    /// The first condition that does not hold.
    pub fn unmet(&self, asked: &RequestFacts<'_>) -> Option<Unmet<'_>> {
        if !self.method.is_empty() && !self.method.contains(asked.method) {
            return Some(Unmet::Method(&self.method));
        }
        if !self.port.is_empty() && !self.port.contains(&asked.port) {
            return Some(Unmet::Port(&self.port));
        }
        if let Some(wanted) = self.websocket.filter(|wanted| *wanted != asked.is_upgrade) {
            return Some(Unmet::WebSocket(wanted));
        }
        let query = asked.query.unwrap_or("");
        let wrong = |name: &str, values: &[String]| {
            parameter(query, name)
                .is_none_or(|found| values.iter().all(|value| value.as_bytes() != found))
        };
        if let Some((name, values)) = self.query.iter().find(|(name, values)| wrong(name, values)) {
            return Some(Unmet::Query(name, values));
        }
        let wrong = |name: &HeaderName, values: &[String]| {
            let mut values = values.iter();
            !values.any(|value| has_value(asked.headers, name, value))
        };
        let header = self
            .header
            .iter()
            .find(|(name, values)| wrong(name, values));
        header.map(|(name, values)| Unmet::Header(name, values))
    }
}

/// A condition that does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmet<'w> {
    /// The method is none of these.
    Method(&'w [Method]),
    /// The port is none of these.
    Port(&'w [u16]),
    /// The request asks for a WebSocket and should not, or should and does not.
    WebSocket(bool),
    /// This parameter of the query is missing, or has none of these values.
    Query(&'w str, &'w [String]),
    /// This header field is missing, or has none of these values.
    Header(&'w HeaderName, &'w [String]),
}

impl RequestFacts<'_> {
    /// The value with which `query` in `when` is compared: that of the first parameter of this name, decoded.
    pub fn parameter(&self, name: &str) -> Option<Vec<u8>> {
        parameter(self.query.unwrap_or(""), name)
    }
}

/// The decoded value of the first parameter of `query` with this name.
fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key) == name.as_bytes()).then(|| decoded(value))
    })
}

/// Undoes percent-encoding. A percent sign that encodes nothing stays as it is, and so does a plus, which only forms
/// mean as a space.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| {
        bytes
            .get(at)
            .and_then(|byte| char::from(*byte).to_digit(16))
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;
    use http::Method;
    use proptest::prelude::*;

    use crate::routing::when::RequestFacts;
    use crate::routing::when::Unmet;
    use crate::routing::when::When;

    fn query(name: &str, values: &[&str]) -> When {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        When {
            query: vec![(name.to_owned(), values)],
            ..When::default()
        }
    }

    fn holds(when: &When, query: &str) -> bool {
        when.holds(&RequestFacts {
            method: &Method::GET,
            headers: &HeaderMap::new(),
            query: Some(query),
            port: 80,
            is_upgrade: false,
        })
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let three = query("EIO", &["3"]);
        assert!(holds(&three, "transport=polling&EIO=3"));
        assert!(holds(&three, "EIO=3&EIO=4"));
        assert!(holds(&three, "%45IO=%33"));
        assert!(!holds(&three, "EIO=4&EIO=3"));
        assert!(!holds(&three, "eio=3"));
        assert!(!holds(&three, ""));
        assert!(holds(&query("EIO", &["3", "4"]), "EIO=4"));
        assert!(holds(&query("flag", &[""]), "flag"));
        assert!(!holds(&query("t", &["a b"]), "t=a+b"));
        assert!(holds(&query("t", &["%zz"]), "t=%zz"));
    }

    #[test]
    fn all_conditions_must_hold_and_any_value_of_one() {
        let when = When {
            header: vec![(
                HeaderName::from_static("x-canary"),
                vec!["1".to_owned(), "yes".to_owned()],
            )],
            method: vec![Method::GET, Method::HEAD],
            port: vec![8080],
            ..When::default()
        };
        let mut headers = HeaderMap::new();
        headers.append("x-canary", HeaderValue::from_static("no"));
        headers.append("x-canary", HeaderValue::from_static("yes"));
        let asked = RequestFacts {
            method: &Method::GET,
            headers: &headers,
            query: None,
            port: 8080,
            is_upgrade: false,
        };
        assert!(when.holds(&asked));
        assert!(!when.holds(&RequestFacts {
            method: &Method::POST,
            ..asked
        }));
        assert!(!when.holds(&RequestFacts { port: 80, ..asked }));
        assert!(!when.holds(&RequestFacts {
            headers: &HeaderMap::new(),
            ..asked
        }));
        for (wanted, is_upgrade) in [(true, false), (false, true)] {
            let when = When {
                websocket: Some(wanted),
                ..When::default()
            };
            let other = RequestFacts {
                is_upgrade,
                ..asked
            };
            assert_eq!(when.unmet(&other), Some(Unmet::WebSocket(wanted)));
            assert!(when.holds(&RequestFacts {
                is_upgrade: wanted,
                ..asked
            }));
        }
        assert!(When::default().holds(&asked) && When::default().is_empty() && !when.is_empty());
    }

    proptest! {
        /// The slow obvious choice reads every parameter into a list first.
        #[test]
        fn the_choice_by_query_agrees_with_the_slow_obvious_one(
            query in "([ab]{0,2}(=[ab1]{0,2})?&){0,5}", name in "[ab]{1,2}", value in "[ab1]{0,2}",
        ) {
            let mut all = Vec::new();
            for pair in query.split('&') {
                let mut sides = pair.splitn(2, '=');
                all.push((sides.next().unwrap_or("").to_owned(), sides.next().unwrap_or("").to_owned()));
            }
            let slow = all.iter().find(|(key, _)| *key == name).is_some_and(|(_, found)| *found == value);
            prop_assert_eq!(holds(&super::tests::query(&name, &[&value]), &query), slow);
        }
    }
}
