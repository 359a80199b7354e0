//! Fills the environment's variables into the tree that was read, before its rules are asked.

use std::ops::Range;

use crate::config::check::Checker;
use crate::config::check::keys::Within;
use crate::config::diagnostic::Diagnostic;
use crate::config::diagnostic::Severity;
use crate::config::environment::FillProblem;
use crate::config::environment::FilledText;
use crate::config::environment::names_variable;
use crate::config::schema::Node;
use crate::config::schema::Value;

impl Checker<'_> {
    /// Fills the variables into all values of the file but those below a key of the user's own, of which only the
    /// aliases count. What is wrong with one is noted; nothing else is said of its value then.
    pub(super) fn fill_in(&mut self, root: &mut Node) {
        let Value::Map(entries) = &mut root.value else {
            return;
        };
        for (key, value) in entries {
            let is_own =
                matches!(&key.value, Value::Text(name) if Within::Top.is_of_the_user(name));
            if !is_own {
                self.fill_in_key(key);
                self.fill_in_value(value);
            }
        }
    }

    /// Leaves out what else was found about values that could not be filled in, and shows what is written in the place of
    /// those that could.
    pub(super) fn show_as_written(&mut self) {
        let unfilled = std::mem::take(&mut self.unfilled);
        self.found.retain(|one| {
            let mut places = unfilled.iter();
            !places.any(|(span, _)| span.contains(&one.offset()))
        });
        for (_, error) in unfilled {
            let is_same = |other: &Diagnostic| {
                (other.offset(), other.message()) == (error.offset(), error.message())
            };
            if !self.found.iter().any(is_same) {
                self.found.push(error);
            }
        }
        for one in &mut self.found {
            one.show_as_written(&self.filled);
        }
    }

    fn fill_in_value(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Nothing => {}
            Value::List(entries) => entries
                .iter_mut()
                .for_each(|entry| self.fill_in_value(entry)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.fill_in_key(key);
                    self.fill_in_value(value);
                }
            }
            Value::Text(written) => match self.environment.fill(written) {
                Ok(None) => {}
                Ok(Some(FilledText {
                    text,
                    literal,
                    values,
                })) => {
                    self.filled.extend(values, &node.span);
                    node.value = Value::Text(text);
                    node.literal = literal;
                    node.verbatim = None;
                }
                Err(errors) => {
                    for error in errors {
                        let span = node.part(Some(error.span));
                        self.unfilled(&node.span, &span, &error.problem);
                    }
                }
            },
        }
    }

    /// Notes what is wrong with a variable at `span` in the value at `whole`.
    fn unfilled(&mut self, whole: &Range<usize>, span: &Range<usize>, problem: &FillProblem) {
        let source = self.source;
        let mut error = source.about(Severity::Error, span, problem.to_string());
        error.help(problem.help());
        self.unfilled.push((whole.clone(), error));
    }

    /// Notes a key with a variable in it: a file whose keys depend on the environment could not be read by anybody.
    fn fill_in_key(&mut self, key: &Node) {
        if let Value::Text(name) = &key.value
            && names_variable(name)
        {
            let message = "a key cannot have a variable of the environment";
            let mut error = self.source.about(Severity::Error, &key.span, message);
            error
                .label("only values are filled in")
                .help("write the key out");
            self.unfilled.push((key.span.clone(), error));
        }
    }
}
