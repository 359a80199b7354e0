//! HTTP/1.1 messages as a test reads them: kept as the bytes that came, looked at as text.

/// A head: the first line and the fields, up to and with the empty line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Head {
    text: String,
}

impl Head {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        // Latin-1, so that no byte is lost or merged.
        Self {
            text: bytes.iter().map(|byte| char::from(*byte)).collect(),
        }
    }

    /// All of it, without the empty line.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.text.trim_end_matches("\r\n").split("\r\n").collect()
    }

    /// The same, in the order of the alphabet: the order of fields with different names means nothing.
    pub(crate) fn sorted(&self) -> Vec<&str> {
        let mut lines = self.lines();
        lines[1..].sort_unstable();
        lines
    }

    pub(crate) fn first_line(&self) -> &str {
        self.lines()[0]
    }

    pub(crate) fn status(&self) -> u16 {
        self.first_line()
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("no answer: {:?}", self.text))
    }

    /// The target of a request.
    pub(crate) fn target(&self) -> &str {
        self.first_line().split(' ').nth(1).unwrap()
    }

    /// The values of all lines of this name, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.lines()[1..]
            .iter()
            .filter_map(|line| line.split_once(':'))
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The value of the only line of this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "several {name} lines: {:?}", self.text);
        values.first().copied()
    }

    /// The names as they are written, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.lines()[1..]
            .iter()
            .map(|line| line.split(':').next().unwrap())
            .collect();
        names.sort_unstable();
        names
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status()
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    Close,
}

impl Framing {
    pub(super) fn of_request(head: &Head) -> Self {
        match Self::stated(head) {
            Some(framing) => framing,
            None => Self::Length(0),
        }
    }

    pub(super) fn of_answer(head: &Head) -> Self {
        match (head.status(), Self::stated(head)) {
            (204 | 304 | 100..200, _) => Self::Length(0),
            (_, Some(framing)) => framing,
            (_, None) => Self::Close,
        }
    }

    fn stated(head: &Head) -> Option<Self> {
        if let Some(coding) = head.value("transfer-encoding") {
            assert_eq!(coding, "chunked");
            assert_eq!(head.value("content-length"), None, "framed twice");
            return Some(Self::Chunked);
        }
        let length = head.value("content-length")?;
        Some(Self::Length(length.parse().unwrap()))
    }
}
