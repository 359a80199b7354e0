//! Who vanishes without a FIN: its packets are lost.

use crate::faults::lost::Sent;
use crate::faults::lost::client_in_a_tunnel;
use crate::faults::lost::client_that_waits;
use crate::faults::lost::upstream_in_a_tunnel;
use crate::faults::row::Act::Alone;
use crate::faults::row::Cell::Always;
use crate::faults::row::Cell::ByClient;
use crate::faults::row::Row;
use crate::faults::row::Wires;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            fault: "A client vanishes in a silent tunnel",
            over: &Wires::TO_HTTP,
            client: Always("nothing"),
            upstream: Always("the end after two minutes"),
            log: Always("INFO `tunnel ended`, by client: connection timed out"),
            act: Alone(|wires| Box::pin(client_in_a_tunnel(wires, Sent::Nothing))),
        },
        Row {
            fault: "A client vanishes, and the upstream goes on sending",
            over: &Wires::TO_HTTP,
            client: Always("nothing"),
            upstream: Always("the end after two minutes"),
            log: Always("INFO `tunnel ended`, by client: connection timed out"),
            act: Alone(|wires| Box::pin(client_in_a_tunnel(wires, Sent::Something))),
        },
        Row {
            fault: "A client vanishes while it waits for the answer",
            over: &Wires::TO_HTTP,
            client: Always("nothing"),
            upstream: Always("the request, then the end after two minutes"),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: Alone(|wires| Box::pin(client_that_waits(wires))),
        },
        Row {
            fault: "An upstream vanishes in a silent tunnel",
            over: &Wires::TO_HTTP,
            client: ByClient(
                "101, then the end after two minutes",
                "101, then the end without close_notify after two minutes",
            ),
            upstream: Always("nothing"),
            log: Always("INFO `tunnel ended`, by upstream: connection timed out"),
            act: Alone(|wires| Box::pin(upstream_in_a_tunnel(wires, Sent::Nothing))),
        },
        Row {
            fault: "An upstream vanishes, and the client goes on sending",
            over: &Wires::TO_HTTP,
            client: ByClient(
                "101, then the end after two minutes",
                "101, then the end without close_notify after two minutes",
            ),
            upstream: Always("nothing"),
            log: Always("INFO `tunnel ended`, by upstream: connection timed out"),
            act: Alone(|wires| Box::pin(upstream_in_a_tunnel(wires, Sent::Something))),
        },
    ]
}
