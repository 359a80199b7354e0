//! The key `when` of a route while it is put together: which requests the route is for.

use crate::nginx::yaml::flow;
use crate::nginx::yaml::quoted;

/// The conditions of a route, all of which must hold; of the values of one any will do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct RouteWhen {
    /// Whether the request must ask for an upgrade to `websocket`.
    pub(super) websocket: bool,
    /// Parameters of the query, and the values that each may have.
    pub(super) query: Vec<(String, Vec<String>)>,
    /// Header fields, and the values that each may have.
    pub(super) header: Vec<(String, Vec<String>)>,
    /// The methods; without any, every method.
    pub(super) method: Vec<String>,
    /// The ports; without any, every port.
    pub(super) port: Vec<u16>,
}

impl RouteWhen {
    /// The conditions of both. `None` if no request can meet both.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            websocket: self.websocket || other.websocket,
            query: both_named(&self.query, &other.query, |one, other| one == other)?,
            header: both_named(&self.header, &other.header, |one, other| {
                one.eq_ignore_ascii_case(other)
            })?,
            method: both(&self.method, &other.method)?,
            port: both(&self.port, &other.port)?,
        })
    }

    /// Whether there are no conditions but for ports.
    pub(super) fn is_of_ports(&self) -> bool {
        let without = Self {
            port: Vec::new(),
            ..self.clone()
        };
        without == Self::default()
    }

    /// The value of the key, as YAML on one line; empty if there are no conditions.
    pub(super) fn written(&self) -> String {
        let mut keys = Vec::new();
        if self.websocket {
            keys.push("websocket: true".to_owned());
        }
        for (key, named) in [("query", &self.query), ("header", &self.header)] {
            let named: Vec<String> = named
                .iter()
                .map(|(name, values)| {
                    format!(
                        "{}: {}",
                        value(name),
                        list(values.iter().map(|text| value(text)))
                    )
                })
                .collect();
            if !named.is_empty() {
                keys.push(format!("{key}: {{ {} }}", named.join(", ")));
            }
        }
        if !self.method.is_empty() {
            keys.push(format!(
                "method: {}",
                list(self.method.iter().map(|method| flow(method)))
            ));
        }
        if !self.port.is_empty() {
            keys.push(format!(
                "port: {}",
                list(self.port.iter().map(u16::to_string))
            ));
        }
        match keys.is_empty() {
            true => String::new(),
            false => format!("{{ {} }}", keys.join(", ")),
        }
    }
}

/// The values that two lists have in common, where an empty list is every value. `None` if there are none.
fn both<V: Clone + PartialEq>(one: &[V], other: &[V]) -> Option<Vec<V>> {
    if one.is_empty() || other.is_empty() {
        return Some([one, other].concat());
    }
    let common: Vec<V> = one
        .iter()
        .filter(|value| other.contains(value))
        .cloned()
        .collect();
    (!common.is_empty()).then_some(common)
}

/// A name, and the values that it may have.
type NamedValues = (String, Vec<String>);

/// The conditions of two lists by their names, of which `same` says whether they are equal. `None` if no value meets
/// those of one name in both.
fn both_named(
    one: &[NamedValues],
    other: &[NamedValues],
    same: fn(&str, &str) -> bool,
) -> Option<Vec<NamedValues>> {
    let mut named = one.to_vec();
    for (name, values) in other {
        match named.iter_mut().find(|(known, _)| same(known, name)) {
            Some((_, known)) => *known = both(known, values)?,
            None => named.push((name.clone(), values.clone())),
        }
    }
    Some(named)
}

/// A name or a value between braces, in quotes where YAML could read it as something else than a text.
fn value(text: &str) -> String {
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        flow(text)
    } else {
        quoted(text)
    }
}

/// One value alone, or several in brackets.
fn list(values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.collect();
    match values.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::nginx::route_when::RouteWhen;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_request_must_meet_the_conditions_of_both() {
        let of = |methods: &[&str], port: &[u16]| RouteWhen {
            method: texts(methods),
            port: port.to_vec(),
            ..RouteWhen::default()
        };
        let both = of(&["GET", "HEAD"], &[]).and(&of(&["POST", "GET"], &[80]));
        assert_eq!(both, Some(of(&["GET"], &[80])));
        assert_eq!(of(&["GET"], &[]).and(&of(&["POST"], &[])), None);
        let header = |name: &str, value: &str| RouteWhen {
            header: vec![(name.to_owned(), texts(&[value]))],
            ..RouteWhen::default()
        };
        assert_eq!(header("X-A", "1").and(&header("x-a", "2")), None);
        assert_eq!(
            header("X-A", "1")
                .and(&header("X-B", "2"))
                .unwrap()
                .header
                .len(),
            2
        );
    }

    #[test]
    fn conditions_are_written_on_one_line() {
        let when = RouteWhen {
            websocket: true,
            query: vec![("EIO".to_owned(), texts(&["3"]))],
            header: vec![(
                "Origin".to_owned(),
                texts(&["https://a.test", "a, b", "true"]),
            )],
            method: texts(&["GET"]),
            port: vec![80, 443],
        };
        assert_eq!(
            when.written(),
            "{ websocket: true, query: { EIO: \"3\" }, header: { Origin: [https://a.test, \"a, b\", \"true\"] }, \
             method: GET, port: [80, 443] }"
        );
        assert_eq!(RouteWhen::default().written(), "");
    }
}
