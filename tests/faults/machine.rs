//! What the machine or the process lacks.

use crate::faults::expired::expires;
use crate::faults::killed::killed_and_back;
use crate::faults::of_machine::no_descriptor_for_a_client;
use crate::faults::of_machine::no_descriptor_for_an_upstream;
use crate::faults::of_machine::reader_does_not_read;
use crate::faults::of_machine::reader_is_gone;
use crate::faults::of_machine::unheard;
use crate::faults::row::Act::Alone;
use crate::faults::row::Cell::Always;
use crate::faults::row::Row;
use crate::faults::row::Wires;
use crate::support::Stderr;

pub(super) fn rows() -> Vec<Row> {
    lacks()
}

fn lacks() -> Vec<Row> {
    vec![
        Row {
            fault: "No descriptor is left for another client",
            over: &Wires::ONE,
            client: Always("nothing until another one leaves, then 204"),
            upstream: Always("nothing"),
            log: Always(
                "ERROR `cannot accept connections; open ones go on`: Too many open files (os error 24)",
            ),
            act: Alone(|_| Box::pin(no_descriptor_for_a_client())),
        },
        Row {
            fault: "No descriptor is left for the connection to the upstream",
            over: &Wires::ONE,
            client: Always("502 `wsgate: the upstream cannot be reached`"),
            upstream: Always("nothing"),
            log: Always(
                "WARN `request`, 502: cannot connect to upstream ADDRESS: wsgate has no descriptor left: raise the limit (`ulimit -n`, in systemd LimitNOFILE=)",
            ),
            act: Alone(|_| Box::pin(no_descriptor_for_an_upstream())),
        },
        Row {
            fault: "Standard error is closed",
            over: &Wires::ONE,
            client: Always("its answers, its tunnel"),
            upstream: Always("its requests, `still here`"),
            log: Always("nothing"),
            act: Alone(|_| Box::pin(unheard(Stderr::Closed))),
        },
        Row {
            fault: "Standard error is a file on a full disk",
            over: &Wires::ONE,
            client: Always("its answers, its tunnel"),
            upstream: Always("its requests, `still here`"),
            log: Always("nothing"),
            act: Alone(|_| Box::pin(unheard(Stderr::Full))),
        },
        Row {
            fault: "Standard error is a pipe whose reader is gone",
            over: &Wires::ONE,
            client: Always("its answers, its tunnel"),
            upstream: Always("its requests, `still here`"),
            log: Always("nothing"),
            act: Alone(|_| Box::pin(reader_is_gone())),
        },
        Row {
            fault: "Standard error is a pipe whose reader does not read",
            over: &Wires::ONE,
            client: Always("its answers, its tunnel"),
            upstream: Always("its requests, `still here`"),
            log: Always(
                "when it reads again: WARN `lines of the log are lost: whoever reads it does not keep up`",
            ),
            act: Alone(|_| Box::pin(reader_does_not_read())),
        },
        Row {
            fault: "The upstream is killed in the middle of traffic (SIGKILL), and comes back",
            over: &Wires::ALL,
            client: Always(
                "the end of its tunnel at once; 502 `wsgate: the upstream cannot be reached`; when it is back, 204 and a new tunnel",
            ),
            upstream: Always(
                "what it was sent, until it is killed; when it is back, new connections",
            ),
            log: Always(
                "`tunnel ended`, by upstream; WARN `request`, 502: cannot connect to upstream ADDRESS: connection refused",
            ),
            act: Alone(|wires| Box::pin(killed_and_back(wires))),
        },
        Row {
            fault: "The certificate that it shows expires",
            over: &Wires::ONE,
            client: Always("its tunnel goes on; a new one that verifies refuses it"),
            upstream: Always("`still here`"),
            log: Always(
                "INFO `no TLS handshake`: the client takes the certificate for expired: compare its clock and ours",
            ),
            act: Alone(|_| Box::pin(expires())),
        },
    ]
}
