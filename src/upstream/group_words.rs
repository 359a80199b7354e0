//! The words for groups, in which the start, `explain` and a reload speak of them: those of the file.

use std::fmt;

use crate::upstream::Balance;
use crate::upstream::Group;
use crate::upstream::HealthCheck;
use crate::upstream::MemberSettings;
use crate::upstream::Scheme;
use crate::upstream::Sticky;
use crate::upstream::Upstream;

/// How many servers of a list are named where the list is shown.
const NAMED: usize = 3;

impl Group {
    /// Whether it is a list in `proxy_pass` that is known by the location of its route: no group of `upstreams` has such a name, since
    /// those are names as hosts have them.
    pub fn is_nameless_list(&self) -> bool {
        self.settings().name.contains(['/', ' '])
    }

    /// Whether the polls of a session come to any of its servers.
    pub fn loses_sessions(&self) -> bool {
        let settings = self.settings();
        let is_off = !settings.sticky.sid && settings.sticky.cookie.is_none();
        // These send all requests of a client to one server, as long as the servers stay the same.
        let is_hashed = matches!(settings.balance, Balance::IpHash | Balance::Hash(_));
        is_off && !is_hashed && self.written().len() > 1
    }

    /// How it is, in a few words: `3 servers, least_conn, sticky sid`.
    pub fn in_few_words(&self) -> String {
        let settings = self.settings();
        let servers = match self.written().len() {
            1 => "1 server".to_owned(),
            several => format!("{several} servers"),
        };
        format!(
            "{servers}, {}, sticky {}",
            settings.balance, settings.sticky
        )
    }

    /// The servers of a list as they are written, each with this path behind it; of a long one the first.
    pub(super) fn as_list(&self, uri: Option<&str>) -> String {
        let uri = uri.unwrap_or_default();
        let servers = self.written().iter();
        let servers = servers.map(|one| format!("{}{uri}", one.server.proxy_pass()));
        let mut servers: Vec<String> = servers.collect();
        let more = servers.len().saturating_sub(NAMED);
        servers.truncate(NAMED);
        let servers = servers.join(", ");
        match more {
            0 => servers,
            more => format!("{servers} and {more} more"),
        }
    }
}

impl Upstream {
    /// How a person is told of it in a line: one server by its `proxy_pass`, a group by its name and how it is,
    /// `chat: 3 servers, least_conn, sticky sid`.
    pub fn in_few_words(&self) -> String {
        let Some(group) = self.group() else {
            return self.to_string();
        };
        let few = group.in_few_words();
        match self.group_name() {
            Some(name) => format!("{name}{}: {few}", self.uri().unwrap_or_default()),
            None => few,
        }
    }

    /// The name of its group, with `https://` before it if it is asked so; `None` for one server, and for a list that is known by its
    /// location.
    pub fn group_name(&self) -> Option<String> {
        let group = self.group().filter(|group| !group.is_nameless_list())?;
        let name = &group.settings().name;
        Some(match self.scheme() {
            Scheme::Http => name.clone(),
            Scheme::Https => format!("https://{name}"),
        })
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeastConn => f.write_str("least_conn"),
            Self::RoundRobin => f.write_str("round_robin"),
            Self::IpHash => f.write_str("ip_hash"),
            Self::Hash(key) => write!(f, "hash {key}"),
        }
    }
}

impl fmt::Display for Sticky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sid, &self.cookie) {
            (true, None) => f.write_str("sid"),
            (true, Some(cookie)) => write!(f, "sid and cookie {}", cookie.name),
            (false, Some(cookie)) => write!(f, "cookie {}", cookie.name),
            (false, None) => f.write_str("off"),
        }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => write!(f, "http {path}"),
            Self::EngineIo(path) => write!(f, "engine_io {path}"),
        }
    }
}

impl fmt::Display for MemberSettings {
    /// What is not as it is without a word, separated by commas: `weight 2, backup`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let mut words = Vec::new();
        if self.weight != usual.weight {
            words.push(format!("weight {}", self.weight));
        }
        if self.max_fails != usual.max_fails {
            words.push(format!("max_fails {}", self.max_fails));
        }
        if self.fail_timeout != usual.fail_timeout {
            words.push(format!("fail_timeout {:?}", self.fail_timeout));
        }
        if let Some(most) = self.max_conns {
            words.push(format!("max_conns {most}"));
        }
        let switches = [
            ("backup", self.backup),
            ("down", self.down),
            ("drain", self.drain),
            ("resolve", self.resolve),
        ];
        let on = switches.iter().filter(|(_, is_on)| *is_on);
        words.extend(on.map(|(word, _)| (*word).to_owned()));
        f.write_str(&words.join(", "))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::upstream::Balance;
    use crate::upstream::Group;
    use crate::upstream::GroupSettings;
    use crate::upstream::HealthCheck;
    use crate::upstream::MemberSettings;
    use crate::upstream::Scheme;
    use crate::upstream::Server;
    use crate::upstream::Sticky;
    use crate::upstream::StickyCookie;
    use crate::upstream::Upstream;
    use crate::upstream::WrittenServer;

    fn group(name: &str, servers: usize) -> Arc<Group> {
        let settings = GroupSettings {
            name: name.to_owned(),
            balance: Balance::IpHash,
            sticky: Sticky::default(),
            health_check: None,
            slow_start: Duration::ZERO,
            close_tunnels: false,
            valid: Duration::ZERO,
        };
        let servers = (1..=servers).map(|at| {
            let to = format!("http://10.0.0.{at}:80").parse().unwrap();
            WrittenServer {
                server: Arc::new(Server::new(to, |_| None).unwrap()),
                settings: MemberSettings::default(),
            }
        });
        Arc::new(Group::new(settings, servers.collect()))
    }

    #[test]
    fn a_group_is_spoken_of_in_the_words_of_the_file() {
        let few = group("chat", 1).in_few_words();
        assert_eq!(few, "1 server, ip_hash, sticky sid");
        let few = group("chat", 3).in_few_words();
        assert_eq!(few, "3 servers, ip_hash, sticky sid");
        let sticky = |sid, cookie: Option<&str>| {
            let cookie = cookie.map(|name| StickyCookie {
                name: name.to_owned(),
                attributes: String::new(),
            });
            Sticky { sid, cookie }.to_string()
        };
        assert_eq!(sticky(true, Some("srv")), "sid and cookie srv");
        assert_eq!(sticky(false, Some("srv")), "cookie srv");
        assert_eq!(sticky(false, None), "off");
        let check = HealthCheck::Http("/health".to_owned());
        assert_eq!(check.to_string(), "http /health");
    }

    #[test]
    fn only_what_a_server_has_of_its_own_is_said() {
        assert_eq!(MemberSettings::default().to_string(), "");
        let settings = MemberSettings {
            weight: 2,
            max_fails: 0,
            fail_timeout: Duration::from_secs(3),
            max_conns: Some(20),
            backup: true,
            down: true,
            drain: true,
            resolve: true,
        };
        assert_eq!(
            settings.to_string(),
            "weight 2, max_fails 0, fail_timeout 3s, max_conns 20, backup, down, drain, resolve"
        );
    }

    #[test]
    fn a_list_is_shown_as_its_servers_and_a_group_by_its_name() {
        let to = |name, servers, uri: Option<&str>| {
            let uri = uri.map(str::to_owned);
            Upstream::of_group(group(name, servers), Scheme::Http, uri)
        };
        assert_eq!(to("chat", 2, Some("/x")).to_string(), "http://chat/x");
        assert_eq!(to("chat", 2, Some("/x")).origin(), "http://chat");
        assert_eq!(to("chat", 2, None).proxy_host(), "chat");
        let list = to("/socket.io", 2, Some("/x"));
        let servers = "http://10.0.0.1:80/x, http://10.0.0.2:80/x";
        assert_eq!(list.to_string(), servers);
        assert_eq!(list.origin(), servers.replace("/x", ""));
        // A location is no host.
        assert_eq!(list.proxy_host(), "10.0.0.1");
        let many = "http://10.0.0.1:80, http://10.0.0.2:80, http://10.0.0.3:80 and 4 more";
        assert_eq!(to("~ ^/x", 7, None).to_string(), many);
        let few = to("chat", 2, Some("/x")).in_few_words();
        assert_eq!(few, "chat/x: 2 servers, ip_hash, sticky sid");
        let few = to("/x", 2, None).in_few_words();
        assert_eq!(few, "2 servers, ip_hash, sticky sid");
        let few = Upstream::of_group(group("chat", 2), Scheme::Https, None).in_few_words();
        assert_eq!(few, "https://chat: 2 servers, ip_hash, sticky sid");
    }
}
