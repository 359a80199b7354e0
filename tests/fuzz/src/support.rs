//! What the readers and the cases of `tests/hostile` need of `tests/support`.

/// The two ways that a request may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    Short,
    Hyper,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Short, Self::Hyper];
}
