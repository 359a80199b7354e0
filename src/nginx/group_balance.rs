//! Translates how an `upstream` block chooses one of its servers: the value of `balance`.

use crate::nginx::group_note::GroupNote;
use crate::nginx::tree::Directive;
use crate::nginx::variables::ValuePart;
use crate::nginx::variables::parts;
use crate::nginx::yaml::flow;
use crate::upstream::HashKey;

/// nginx's methods, of which the last in a block counts.
const METHODS: [&str; 5] = ["least_conn", "ip_hash", "hash", "random", "least_time"];

/// Why another address is chosen for a client than by nginx's `ip_hash`.
const IP_HASH: &str = "here the whole IPv4 address decides, and of IPv6 the /64; in nginx the first three octets, and the whole";
/// Why the first of two methods is of no account.
const OVERRULED: &str = "the method behind it counts, in nginx too";
/// Why nothing is missed where servers are chosen at random.
const RANDOM: &str =
    "servers have the same shares in turn, here without the chance that one gets several at once";
/// Why nothing is missed where the better of two is taken.
const RANDOM_TWO: &str =
    "the least busy of all servers is chosen, of more than 16 the better of two at random";
/// What is missed where a server's speed decides.
const LEAST_TIME: &str =
    "how fast servers answer is not measured: the one with the fewest connections is chosen";

/// Whether a directive says how a server is chosen for a request.
pub(super) fn is_method(directive: &Directive) -> bool {
    METHODS.contains(&directive.name.as_str())
}

/// The value of `balance` for the block of an `upstream`. nginx's own default is not that of `routes.yaml`.
pub(super) fn balance<'t>(block: &'t [Directive], said: &mut Vec<GroupNote<'t>>) -> String {
    let mut methods: Vec<&Directive> = block.iter().filter(|one| is_method(one)).collect();
    let Some(method) = methods.pop() else {
        return "round_robin".to_owned();
    };
    let overruled = methods.into_iter();
    said.extend(overruled.map(|method| GroupNote::Needless(method, OVERRULED)));
    let least_conn = "least_conn".to_owned();
    match method.name.as_str() {
        "ip_hash" => {
            said.push(GroupNote::Differs(method, IP_HASH));
            "ip_hash".to_owned()
        }
        "hash" => match hash_key(method.arg(0)) {
            Ok(key) => format!("{{ hash: {} }}", flow(&key)),
            Err(why) => {
                let why = format!("{why}; the server with the fewest connections is chosen");
                said.push(GroupNote::Left(method, why));
                least_conn
            }
        },
        "random" if method.arg(1).starts_with("least_time") => {
            said.push(GroupNote::Left(method, LEAST_TIME.to_owned()));
            least_conn
        }
        "random" if method.arg(0) == "two" => {
            said.push(GroupNote::Needless(method, RANDOM_TWO));
            least_conn
        }
        "random" => {
            said.push(GroupNote::Needless(method, RANDOM));
            "round_robin".to_owned()
        }
        "least_time" => {
            said.push(GroupNote::Left(method, LEAST_TIME.to_owned()));
            least_conn
        }
        _ => least_conn,
    }
}

/// Whether a server that comes back is given its share little by little with this value of `balance`, if nothing is said.
pub(super) fn has_slow_start(balance: &str) -> bool {
    matches!(balance, "round_robin" | "least_conn")
}

/// Variables of nginx that `routes.yaml` has under another name.
const SAME: [(&str, &str); 1] = [("binary_remote_addr", "remote_addr")];

/// The key of a `hash` as `routes.yaml` has it.
///
/// # Errors
/// The reason why it has no such key.
fn hash_key(written: &str) -> Result<String, String> {
    let mut key = String::new();
    for part in parts(written) {
        let name = match part {
            ValuePart::Text(text) => {
                key += text;
                continue;
            }
            ValuePart::Variable(name) => name,
        };
        let same = SAME.iter().find(|(theirs, _)| *theirs == name);
        key += &format!("${{{}}}", same.map_or(name, |(_, ours)| *ours));
    }
    match HashKey::read(&key, &[]) {
        Err(error) => Err(error.to_string()),
        Ok(_) => Ok(unbraced(&key)),
    }
}

/// The text without the braces around the names of variables, if it is one variable alone.
fn unbraced(key: &str) -> String {
    let one = key
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|name| !name.contains(['$', '{', '}']));
    one.map_or_else(|| key.to_owned(), |name| format!("${name}"))
}
