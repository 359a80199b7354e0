//! Tells whether an upstream's address is one of wsgate's own listeners, so that a request would go round for ever. The
//! rules of `routes.yaml` and the import of an nginx.conf ask.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::upstream::Host;

/// Whether a connection to `host` and `to_port` would be accepted by a listener at `address`, as far as can be told
/// without asking anyone.
pub(crate) fn leads_to(host: &Host, to_port: u16, address: SocketAddr) -> bool {
    let (ip, port) = (address.ip(), address.port());
    let hosts: &[IpAddr] = match host {
        Host::Ip(host) => &[*host],
        Host::Name(name) if name == "localhost" => &LOOPBACK,
        Host::Name(_) => &[],
    };
    // Connecting to 0.0.0.0 or [::] reaches this machine.
    let local = |host: &IpAddr| host.is_loopback() || host.is_unspecified();
    let reaches = |host: &IpAddr| {
        host.is_ipv4() == ip.is_ipv4()
            && (*host == ip
                || (ip.is_unspecified() && local(host))
                || (host.is_unspecified() && local(&ip)))
    };
    port != 0 && port == to_port && hosts.iter().any(reaches)
}

/// The addresses of `localhost`.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
];
