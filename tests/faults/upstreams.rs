//! What an upstream does wrong.

use crate::faults::of_upstreams::BY_LENGTH;
use crate::faults::of_upstreams::HALF_A_FRAME;
use crate::faults::of_upstreams::HALF_A_HEAD;
use crate::faults::of_upstreams::IN_CHUNKS;
use crate::faults::of_upstreams::Leaves;
use crate::faults::of_upstreams::NO_HEAD;
use crate::faults::of_upstreams::TO_THE_END;
use crate::faults::of_upstreams::breaks_off;
use crate::faults::of_upstreams::breaks_off_for_an_old_client;
use crate::faults::of_upstreams::endless_head;
use crate::faults::of_upstreams::ends;
use crate::faults::of_upstreams::floods;
use crate::faults::of_upstreams::floods_with_a_body;
use crate::faults::of_upstreams::get;
use crate::faults::of_upstreams::half_closes;
use crate::faults::of_upstreams::half_closes_at_once;
use crate::faults::of_upstreams::silent;
use crate::faults::of_upstreams::unreached;
use crate::faults::row::Act::InWorld;
use crate::faults::row::Cell::Always;
use crate::faults::row::Cell::ByClient;
use crate::faults::row::Cell::ByUpstream;
use crate::faults::row::Row;
use crate::faults::row::Wires;
use crate::support::upgrade_to;

pub(super) fn rows() -> Vec<Row> {
    let parts = [without_an_answer(), in_an_answer(), in_a_tunnel()];
    parts.into_iter().flatten().collect()
}

fn without_an_answer() -> Vec<Row> {
    vec![
        Row {
            fault: "It refuses the connection",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream cannot be reached`"),
            upstream: Always("nothing"),
            log: Always(
                "WARN `request`, 502: cannot connect to upstream ADDRESS: connection refused",
            ),
            act: InWorld(|world| Box::pin(unreached(world, "/refused"))),
        },
        Row {
            fault: "It cannot be reached",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream cannot be reached`"),
            upstream: Always("nothing"),
            log: Always(
                "WARN `request`, 502: cannot connect to upstream 224.0.0.1:80: network unreachable",
            ),
            act: InWorld(|world| Box::pin(unreached(world, "/unreachable"))),
        },
        Row {
            fault: "It takes no connection: what would open one is lost",
            over: &Wires::ALL,
            client: Always("504 `wsgate: the upstream does not accept connections in time`"),
            upstream: Always("nothing"),
            log: Always(
                "WARN `request`, 504: cannot connect to upstream ADDRESS: no answer within 300ms (`connect_timeout`)",
            ),
            act: InWorld(|world| Box::pin(unreached(world, "/full"))),
        },
        Row {
            fault: "It accepts, and is silent in the TLS handshake",
            over: &Wires::TO_HTTPS,
            client: Always("504 `wsgate: the upstream does not end the TLS handshake in time`"),
            upstream: Always("nothing"),
            log: Always(
                "WARN `request`, 504: upstream ADDRESS: no end of the TLS handshake within 300ms (`connect_timeout`); if it speaks no TLS, use `http://`",
            ),
            act: InWorld(|world| Box::pin(unreached(world, "/mute"))),
        },
        Row {
            fault: "It accepts, and is silent on a request",
            over: &Wires::ALL,
            client: Always("504 `wsgate: the upstream does not answer in time`"),
            upstream: ByUpstream(
                "the request, then the end",
                "the request, then the end without close_notify",
            ),
            log: Always(
                "WARN `request`, 504: upstream ADDRESS gave no answer within 300ms (`response_timeout`)",
            ),
            act: InWorld(|world| Box::pin(silent(world, get("/hasty")))),
        },
        Row {
            fault: "It accepts, and is silent on an upgrade request",
            over: &Wires::ALL,
            client: Always("504 `wsgate: the upstream does not answer in time`"),
            upstream: ByUpstream(
                "the request, then the end",
                "the request, then the end without close_notify",
            ),
            log: Always(
                "WARN `request`, 504: upstream ADDRESS gave no answer within 300ms (`handshake_timeout`)",
            ),
            act: InWorld(|world| Box::pin(silent(world, upgrade_to("/hasty", "")))),
        },
    ]
}

fn in_an_answer() -> Vec<Row> {
    vec![
        Row {
            fault: "It resets before the head of its answer",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always("WARN `request`, 502: upstream ADDRESS gave no answer: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off(world, NO_HEAD, Leaves::Reset))),
        },
        Row {
            fault: "It ends before the head of its answer",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 502: upstream ADDRESS closed the connection without an answer",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, NO_HEAD, Leaves::InOrder))),
        },
        Row {
            fault: "It resets in the head of its answer",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always("WARN `request`, 502: upstream ADDRESS gave no answer: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off(world, HALF_A_HEAD, Leaves::Reset))),
        },
        Row {
            fault: "It ends in the head of its answer",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 502: upstream ADDRESS closed the connection without an answer",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, HALF_A_HEAD, Leaves::InOrder))),
        },
        Row {
            fault: "Its TLS is truncated in the head of its answer",
            over: &Wires::TO_HTTPS,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 502: upstream ADDRESS closed the connection without an answer",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, HALF_A_HEAD, Leaves::Cut))),
        },
        Row {
            fault: "It floods with a head that has no end",
            over: &Wires::ALL,
            client: Always("502 `wsgate: the upstream gave no answer`"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 502: upstream ADDRESS gave an answer that is not HTTP/1.1: message head is too large",
            ),
            act: InWorld(|world| Box::pin(endless_head(world))),
        },
        Row {
            fault: "It resets in a body of known length",
            over: &Wires::ALL,
            client: Always("200, half of the body, then the end"),
            upstream: Always("the request"),
            log: Always("WARN `request`, 200: the upstream's answer broke off: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off(world, BY_LENGTH, Leaves::Reset))),
        },
        Row {
            fault: "It ends in a body of known length",
            over: &Wires::ALL,
            client: Always("200, half of the body, then the end"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 200: the upstream's answer broke off: the connection ended",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, BY_LENGTH, Leaves::InOrder))),
        },
        Row {
            fault: "It resets in a chunked body",
            over: &Wires::ALL,
            client: Always("200, a chunk but not the last one, then the end"),
            upstream: Always("the request"),
            log: Always("WARN `request`, 200: the upstream's answer broke off: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off(world, IN_CHUNKS, Leaves::Reset))),
        },
        Row {
            fault: "It ends in a chunked body",
            over: &Wires::ALL,
            client: Always("200, a chunk but not the last one, then the end"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 200: the upstream's answer broke off: the connection ended",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, IN_CHUNKS, Leaves::InOrder))),
        },
        Row {
            fault: "It resets in a body that its end would end",
            over: &Wires::ALL,
            client: Always("200, a chunk but not the last one, then the end"),
            upstream: Always("the request"),
            log: Always("WARN `request`, 200: the upstream's answer broke off: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off(world, TO_THE_END, Leaves::Reset))),
        },
        Row {
            fault: "The same, and the client speaks HTTP/1.0, which has no chunks",
            over: &Wires::ALL,
            client: ByClient(
                "200, half of the body, then a reset",
                "200, half of the body, then the end without close_notify",
            ),
            upstream: Always("the request"),
            log: Always("WARN `request`, 200: the upstream's answer broke off: connection reset"),
            act: InWorld(|world| Box::pin(breaks_off_for_an_old_client(world))),
        },
        Row {
            fault: "Its TLS is truncated in a body that its end would end",
            over: &Wires::TO_HTTPS,
            client: Always("200, a chunk but not the last one, then the end"),
            upstream: Always("the request"),
            log: Always(
                "WARN `request`, 200: the upstream's answer broke off: the connection ended without a TLS close_notify",
            ),
            act: InWorld(|world| Box::pin(breaks_off(world, TO_THE_END, Leaves::Cut))),
        },
        Row {
            fault: "It floods with a body, and the client reads late",
            over: &Wires::ALL,
            client: Always("200, every byte, when it reads"),
            upstream: Always("the request; it can write no more until the client reads"),
            log: Always("INFO `request`, 200"),
            act: InWorld(|world| Box::pin(floods_with_a_body(world))),
        },
    ]
}

fn in_a_tunnel() -> Vec<Row> {
    vec![
        Row {
            fault: "It resets right after its 101",
            over: &Wires::ALL,
            client: ByClient(
                "101, then the end",
                "101, then the end without close_notify",
            ),
            upstream: Always("the upgrade request"),
            log: Always("INFO `tunnel ended`, by upstream: connection reset"),
            act: InWorld(|world| Box::pin(ends(world, b"", Leaves::Reset))),
        },
        Row {
            fault: "Its process ends right after its 101",
            over: &Wires::TO_HTTP,
            client: Always("101, then the end"),
            upstream: Always("the upgrade request"),
            log: Always("INFO `tunnel ended`, by upstream"),
            act: InWorld(|world| Box::pin(ends(world, b"", Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated right after its 101",
            over: &Wires::TO_HTTPS,
            client: ByClient(
                "101, then the end",
                "101, then the end without close_notify",
            ),
            upstream: Always("the upgrade request"),
            log: Always(
                "INFO `tunnel ended`, by upstream: the connection ended without a TLS close_notify",
            ),
            act: InWorld(|world| Box::pin(ends(world, b"", Leaves::Cut))),
        },
        Row {
            fault: "It resets in mid-frame",
            over: &Wires::ALL,
            client: ByClient(
                "101, half a frame, then the end",
                "101, half a frame, then the end without close_notify",
            ),
            upstream: Always("the upgrade request"),
            log: Always("INFO `tunnel ended`, by upstream: connection reset"),
            act: InWorld(|world| Box::pin(ends(world, HALF_A_FRAME, Leaves::Reset))),
        },
        Row {
            fault: "Its process ends in mid-frame",
            over: &Wires::TO_HTTP,
            client: Always("101, half a frame, then the end"),
            upstream: Always("the upgrade request"),
            log: Always("INFO `tunnel ended`, by upstream"),
            act: InWorld(|world| Box::pin(ends(world, HALF_A_FRAME, Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated in mid-frame",
            over: &Wires::TO_HTTPS,
            client: ByClient(
                "101, half a frame, then the end",
                "101, half a frame, then the end without close_notify",
            ),
            upstream: Always("the upgrade request"),
            log: Always(
                "INFO `tunnel ended`, by upstream: the connection ended without a TLS close_notify",
            ),
            act: InWorld(|world| Box::pin(ends(world, HALF_A_FRAME, Leaves::Cut))),
        },
        Row {
            fault: "It half-closes right behind its 101 and its first words",
            over: &Wires::ALL,
            client: Always("101, `first words`, then the end"),
            upstream: Always("the upgrade request, `an answer`, then the end"),
            log: Always("INFO `tunnel ended`, by upstream"),
            act: InWorld(|world| Box::pin(half_closes_at_once(world))),
        },
        Row {
            fault: "It half-closes behind 1 MiB",
            over: &Wires::ALL,
            client: Always("101, every byte, then the end"),
            upstream: Always("the upgrade request, `an answer`, then the end"),
            log: Always("INFO `tunnel ended`, by upstream"),
            act: InWorld(|world| Box::pin(half_closes(world))),
        },
        Row {
            fault: "It floods, and the client reads late",
            over: &Wires::ALL,
            client: Always("101, every byte, when it reads"),
            upstream: Always("the upgrade request; it can write no more until the client reads"),
            log: Always("INFO `tunnel ended`, by upstream"),
            act: InWorld(|world| Box::pin(floods(world))),
        },
    ]
}
