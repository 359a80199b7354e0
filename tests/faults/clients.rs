//! What a client does wrong.

use crate::faults::of_clients::Leaves;
use crate::faults::of_clients::Stage;
use crate::faults::of_clients::floods;
use crate::faults::of_clients::half_closes;
use crate::faults::of_clients::in_the_middle_of_tls;
use crate::faults::of_clients::leaves;
use crate::faults::of_clients::only_listens;
use crate::faults::row::Act::InWorld;
use crate::faults::row::Cell::Always;
use crate::faults::row::Cell::ByClient;
use crate::faults::row::Cell::ByUpstream;
use crate::faults::row::Row;
use crate::faults::row::Wires;

pub(super) fn rows() -> Vec<Row> {
    let parts = [
        in_the_tls_handshake(),
        resets(),
        ends(),
        truncated(),
        in_a_tunnel(),
    ];
    parts.into_iter().flatten().collect()
}

fn in_the_tls_handshake() -> Vec<Row> {
    vec![
        Row {
            fault: "It resets in the TLS handshake",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: Always("nothing"),
            log: Always("nothing"),
            act: InWorld(|world| Box::pin(in_the_middle_of_tls(world, Leaves::Reset))),
        },
        Row {
            fault: "It ends in the TLS handshake",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: Always("nothing"),
            log: Always("nothing"),
            act: InWorld(|world| Box::pin(in_the_middle_of_tls(world, Leaves::Cut))),
        },
    ]
}

fn resets() -> Vec<Row> {
    vec![
        Row {
            fault: "It resets in the head of its request",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: Always("nothing"),
            log: Always("nothing"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Head, Leaves::Reset))),
        },
        Row {
            fault: "It resets in a body of known length",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the head, half of the body, then the end",
                "the head, half of the body, then the end without close_notify",
            ),
            log: Always(
                "INFO `request`, 400: refused: a body that breaks off or has malformed chunks",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Body, Leaves::Reset))),
        },
        Row {
            fault: "It resets in a chunked body",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the head, a chunk but not the last one, then the end",
                "the head, a chunk but not the last one, then the end without close_notify",
            ),
            log: Always(
                "INFO `request`, 400: refused: a body that breaks off or has malformed chunks",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Chunks, Leaves::Reset))),
        },
        Row {
            fault: "It resets while it waits for the answer",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the request, then the end",
                "the request, then the end without close_notify",
            ),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Waiting, Leaves::Reset))),
        },
        Row {
            fault: "It resets in the answer",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the request, then the end",
                "the request, then the end without close_notify",
            ),
            log: Always("INFO `request`, 200: the client left before the end of the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Answer, Leaves::Reset))),
        },
        Row {
            fault: "It resets right after its upgrade request",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the upgrade request, then the end",
                "the upgrade request, then the end without close_notify",
            ),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Upgrading, Leaves::Reset))),
        },
        Row {
            fault: "It resets right after the 101",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the upgrade request, then the end",
                "the upgrade request, then the end without close_notify",
            ),
            log: Always("INFO `tunnel ended`, by client: connection reset"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Switched, Leaves::Reset))),
        },
        Row {
            fault: "It resets in mid-frame",
            over: &Wires::ALL,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the upgrade request, half a frame, then the end",
                "the upgrade request, half a frame, then the end without close_notify",
            ),
            log: Always("INFO `tunnel ended`, by client: connection reset"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Frame, Leaves::Reset))),
        },
    ]
}

fn ends() -> Vec<Row> {
    vec![
        Row {
            fault: "It ends in the head of its request",
            over: &Wires::ALL,
            client: ByClient("the end", "the end without close_notify"),
            upstream: Always("nothing"),
            log: Always("nothing"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Head, Leaves::HalfClose))),
        },
        Row {
            fault: "It ends in a body of known length",
            over: &Wires::ALL,
            client: Always(
                "400 `wsgate: a body that breaks off or has malformed chunks`, then the end",
            ),
            upstream: ByUpstream(
                "the head, half of the body, then the end",
                "the head, half of the body, then the end without close_notify",
            ),
            log: Always(
                "INFO `request`, 400: refused: a body that breaks off or has malformed chunks",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Body, Leaves::HalfClose))),
        },
        Row {
            fault: "It ends in a chunked body",
            over: &Wires::ALL,
            client: Always(
                "400 `wsgate: a body that breaks off or has malformed chunks`, then the end",
            ),
            upstream: ByUpstream(
                "the head, a chunk but not the last one, then the end",
                "the head, a chunk but not the last one, then the end without close_notify",
            ),
            log: Always(
                "INFO `request`, 400: refused: a body that breaks off or has malformed chunks",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Chunks, Leaves::HalfClose))),
        },
        Row {
            fault: "It ends while it waits for the answer, which comes",
            over: &Wires::ALL,
            client: Always("200 `ok`, then the end"),
            upstream: Always("the request"),
            log: Always("INFO `request`, 200"),
            act: InWorld(|world| Box::pin(only_listens(world, Stage::Waiting))),
        },
        Row {
            fault: "The same, and no answer comes within 5 s",
            over: &Wires::ALL,
            client: ByClient("the end", "the end without close_notify"),
            upstream: ByUpstream(
                "the request, then the end",
                "the request, then the end without close_notify",
            ),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Waiting, Leaves::HalfClose))),
        },
        Row {
            fault: "It ends a poll of its Engine.IO session",
            over: &Wires::ALL,
            client: ByClient("the end", "the end without close_notify"),
            upstream: ByUpstream(
                "the poll, then the end",
                "the poll, then the end without close_notify",
            ),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Polling, Leaves::HalfClose))),
        },
        Row {
            fault: "It ends in the answer, which goes on",
            over: &Wires::ALL,
            client: Always("200 `helloworld`, then the end"),
            upstream: Always("the request"),
            log: Always("INFO `request`, 200"),
            act: InWorld(|world| Box::pin(only_listens(world, Stage::Answer))),
        },
        Row {
            fault: "It ends right after its upgrade request, which is agreed to",
            over: &Wires::ALL,
            client: Always("101, `an answer`, then the end"),
            upstream: Always("the upgrade request, then the end"),
            log: Always("INFO `tunnel ended`, by client"),
            act: InWorld(|world| Box::pin(only_listens(world, Stage::Upgrading))),
        },
    ]
}

fn truncated() -> Vec<Row> {
    vec![
        Row {
            fault: "Its TLS is truncated in the head of its request",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: Always("nothing"),
            log: Always("nothing"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Head, Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated in a chunked body",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the head, a chunk but not the last one, then the end",
                "the head, a chunk but not the last one, then the end without close_notify",
            ),
            log: Always(
                "INFO `request`, 400: refused: a body that breaks off or has malformed chunks",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Chunks, Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated in a poll of its Engine.IO session",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the poll, then the end",
                "the poll, then the end without close_notify",
            ),
            log: Always("INFO `request`, 499: the client left before the answer"),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Polling, Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated right after the 101",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the upgrade request, then the end",
                "the upgrade request, then the end without close_notify",
            ),
            log: Always(
                "INFO `tunnel ended`, by client: the connection ended without a TLS close_notify",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Switched, Leaves::Cut))),
        },
        Row {
            fault: "Its TLS is truncated in mid-frame",
            over: &Wires::OF_WSS,
            client: Always("nothing"),
            upstream: ByUpstream(
                "the upgrade request, half a frame, then the end",
                "the upgrade request, half a frame, then the end without close_notify",
            ),
            log: Always(
                "INFO `tunnel ended`, by client: the connection ended without a TLS close_notify",
            ),
            act: InWorld(|world| Box::pin(leaves(world, Stage::Frame, Leaves::Cut))),
        },
    ]
}

fn in_a_tunnel() -> Vec<Row> {
    vec![
        Row {
            fault: "It half-closes behind 1 MiB",
            over: &Wires::ALL,
            client: Always("101, `an answer`, then the end"),
            upstream: Always("the upgrade request, every byte, then the end"),
            log: Always("INFO `tunnel ended`, by client"),
            act: InWorld(|world| Box::pin(half_closes(world))),
        },
        Row {
            fault: "It floods, and the upstream reads late",
            over: &Wires::ALL,
            client: Always("101; it can write no more until the upstream reads"),
            upstream: Always("the upgrade request, every byte, when it reads"),
            log: Always("INFO `tunnel ended`, by client"),
            act: InWorld(|world| Box::pin(floods(world))),
        },
    ]
}
