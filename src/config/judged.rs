//! One reading of a text as `routes.yaml`, judged by all rules. A text that is no YAML has one error and no configuration.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use time::OffsetDateTime;

use crate::config::Config;
use crate::config::check::Checker;
use crate::config::check::not_yaml;
use crate::config::diagnostic::Diagnostic;
use crate::config::environment::Environment;
use crate::config::filled_values::FilledValues;
use crate::config::schema;
use crate::config::source::SourceText;

/// What the rules say of a text.
pub(super) struct Judged {
    /// The configuration, which may be used only if nothing is wrong.
    pub(super) config: Option<Config>,
    /// Everything that is wrong with it or worth a warning, in no order.
    pub(super) found: Vec<Diagnostic>,
    /// The files that it names, existing or not.
    pub(super) files: BTreeSet<PathBuf>,
}

impl Judged {
    /// Reads and judges the text of `file`.
    pub(super) fn new(
        file: &Path,
        source: &SourceText,
        environment: &Environment,
        now: OffsetDateTime,
    ) -> Self {
        let root = match schema::read(source.text()) {
            Ok(root) => root,
            Err(refused) => {
                return Self {
                    config: None,
                    found: vec![not_yaml::diagnostic(&refused, source)],
                    files: BTreeSet::new(),
                };
            }
        };
        let mut checker = Checker {
            file,
            source,
            now,
            environment,
            filled: FilledValues::default(),
            unfilled: Vec::new(),
            found: Vec::new(),
            files: BTreeSet::new(),
            certificates: Vec::new(),
            hosts: Vec::new(),
        };
        let config = checker.check(root);
        Self {
            config,
            found: checker.found,
            files: checker.files,
        }
    }
}
