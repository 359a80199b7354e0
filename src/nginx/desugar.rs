//! Writes out what nginx understands without being told, so that the rest of the import has one form to translate.

use crate::nginx::tree::Directive;
use crate::nginx::tree::SourceLine;
use crate::nginx::tree::all;
use crate::nginx::tree::everywhere;
use crate::nginx::tree::last;
use crate::nginx::variables::names_in;

/// Makes `try_files` of a server a `location /`, if it has none: nginx obeys it where no location answers, and no
/// location inherits it.
pub(super) fn try_files_of_servers(http: &mut [Directive]) {
    let servers = http.iter_mut().filter(|one| one.name == "server");
    for block in servers.filter_map(|server| server.block.as_mut()) {
        let answers_all = |location: &Directive| {
            matches!(location.args.as_slice(), [path] if path == "/")
                || matches!(location.args.as_slice(), [kind, path] if kind == "^~" && path == "/")
        };
        if all(block, "location").any(answers_all) || last(block, "return").is_some() {
            continue;
        }
        let Some(at) = block.iter().rposition(|one| one.name == "try_files") else {
            continue;
        };
        let files = block.remove(at);
        block.push(Directive {
            name: "location".to_owned(),
            args: vec!["/".to_owned()],
            place: files.place,
            problem: None,
            block: Some(vec![files]),
        });
    }
}

/// A `map` that chooses an upstream by exact values of one variable.
struct Choices {
    /// The name of its own variable, without the dollar.
    name: String,
    /// What stands for any other value.
    default: String,
    /// The directive of each other value: an `if` that holds for it, and what stands for it.
    others: Vec<(Directive, String)>,
    /// Where the block stands.
    place: SourceLine,
    /// Whether a value has letters, which nginx compares without case and `when` with it.
    ignores_case: bool,
}

/// The places of `map` blocks that choose an upstream.
#[derive(Debug, Default)]
pub(super) struct ChoosingMaps {
    /// Those that are written out.
    pub(super) written_out: Vec<SourceLine>,
    /// Those that are not, since nginx finds their values without case.
    pub(super) ignoring_case: Vec<SourceLine>,
}

/// Makes a `proxy_pass` in a location with a variable of a `map` an `if` for each value that the `map` has.
pub(super) fn maps_of_upstreams(http: &mut [Directive]) -> ChoosingMaps {
    let sets = everywhere(http, "set");
    let is_set = |name: &str| {
        sets.iter()
            .any(|set| set.arg(0).trim_start_matches('$') == name)
    };
    let maps = all(http, "map").filter_map(Choices::of);
    let maps = maps.filter(|map| !is_set(&map.name));
    let (ignoring_case, maps): (Vec<Choices>, Vec<Choices>) =
        maps.partition(|map| map.ignores_case);
    let mut written_out = Vec::new();
    let servers = http.iter_mut().filter(|one| one.name == "server");
    for server in servers.filter_map(|server| server.block.as_mut()) {
        write_out(server, &maps, &mut written_out);
    }
    ChoosingMaps {
        written_out,
        ignoring_case: ignoring_case.iter().map(|map| map.place).collect(),
    }
}

/// Does so in the locations of a block, and in those within them.
fn write_out(block: &mut [Directive], maps: &[Choices], written: &mut Vec<SourceLine>) {
    let locations = block.iter_mut().filter(|one| one.name == "location");
    for inside in locations.filter_map(|location| location.block.as_mut()) {
        write_out(inside, maps, written);
        let Some(at) = inside.iter().rposition(|one| one.name == "proxy_pass") else {
            continue;
        };
        let pass = inside[at].clone();
        let Some(map) = chosen_by(&pass, maps) else {
            continue;
        };
        inside[at] = with_value(&pass, map, &map.default);
        let ends = Directive {
            name: "break".to_owned(),
            args: Vec::new(),
            ..pass.clone()
        };
        inside.extend(map.others.iter().map(|(condition, value)| Directive {
            block: Some(vec![with_value(&pass, map, value), ends.clone()]),
            ..condition.clone()
        }));
        written.push(map.place);
    }
}

/// The one `map` that has the value of a variable in a `proxy_pass`.
fn chosen_by<'m>(pass: &Directive, maps: &'m [Choices]) -> Option<&'m Choices> {
    let mut named = maps
        .iter()
        .filter(|map| names_in(pass.arg(0)).any(|name| name == map.name));
    let map = named.next()?;
    named.next().is_none().then_some(map)
}

/// The `proxy_pass` as it is where the variable of `map` has this value, which a `set` in its block says. The variable
/// stays, since nginx does less of its own accord where there is one.
fn with_value(pass: &Directive, map: &Choices, value: &str) -> Directive {
    let set = Directive {
        name: "set".to_owned(),
        args: vec![format!("${}", map.name), value.to_owned()],
        ..pass.clone()
    };
    Directive {
        block: Some(vec![set]),
        ..pass.clone()
    }
}

impl Choices {
    /// The choices of a block; `None` if `when` could not make them, or if it makes none.
    fn of(map: &Directive) -> Option<Self> {
        let source = map.arg(0).strip_prefix('$')?;
        let is_upgrade = matches!(source, "http_upgrade" | "http_connection");
        let is_asked = is_upgrade || source == "request_method" || source.starts_with("arg_");
        if !is_asked && !source.starts_with("http_") {
            return None;
        }
        let default = all(map.inside(), "default").next()?.arg(0).to_owned();
        let mut others = Vec::new();
        let mut ignores_case = false;
        for entry in map.inside().iter().filter(|one| one.name != "default") {
            let (key, value) = (entry.name.trim_start_matches('\\'), entry.arg(0));
            let is_exact = !key.contains(['~', '$', ' ', '(', ')', '"'])
                && !matches!(key, "hostnames" | "volatile" | "include")
                && (is_upgrade || !key.is_empty());
            if !is_exact || entry.args.len() != 1 || value.contains('$') {
                return None;
            }
            if value == default {
                continue;
            }
            // nginx takes no method in small letters, and an upgrade is asked for without case here too.
            let key = match source {
                "request_method" => key.to_ascii_uppercase(),
                _ => key.to_owned(),
            };
            let has_letters = key.contains(|c: char| c.is_ascii_alphabetic());
            ignores_case |= has_letters && !is_upgrade && source != "request_method";
            let condition = Directive {
                name: "if".to_owned(),
                args: vec![format!("(${source}"), "=".to_owned(), format!("{key})")],
                block: None,
                ..entry.clone()
            };
            others.push((condition, value.to_owned()));
        }
        let is_plain = !default.is_empty() && !default.contains('$') && !others.is_empty();
        is_plain.then(|| Self {
            name: map.arg(1).trim_start_matches('$').to_owned(),
            default,
            others,
            place: map.place,
            ignores_case,
        })
    }
}
