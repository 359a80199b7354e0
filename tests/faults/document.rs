//! The tables as `docs/reliability.md` has them.

use std::fs;
use std::path::Path;

use crate::faults::row::Row;

const DOCUMENT: &str = "docs/reliability.md";
const END: &str = "<!-- end of the table -->\n";

/// The document with these tables in their places. Panics if it has no place for one.
fn with(document: &str, tables: &[(&str, Vec<Row>)]) -> String {
    let mut whole = document.to_owned();
    for (name, rows) in tables {
        let begin = format!("<!-- table: {name} -->\n");
        let (before, rest) = whole.split_once(&begin).expect(name);
        let (_, behind) = rest.split_once(END).expect(name);
        whole = format!("{before}{begin}{}{END}{behind}", table(rows));
    }
    whole
}

fn table(rows: &[Row]) -> String {
    let mut table =
        "| what goes wrong | the client sees | the upstream sees | the log says |\n".to_owned();
    table += "|---|---|---|---|\n";
    for row in rows {
        let cells = [row.client, row.upstream, row.log].map(super::row::Cell::shown);
        let line = format!("| {} | {} |\n", row.name(), cells.join(" | "));
        assert_eq!(line.matches('|').count(), 5, "{line}");
        table += &line;
    }
    table
}

#[test]
fn the_document_has_every_row_as_it_was_seen() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = fs::read_to_string(&path).unwrap();
    let wanted = with(&document, &super::tables());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(&path, &wanted).unwrap();
    } else {
        let line = document
            .lines()
            .zip(wanted.lines())
            .find(|(is, should)| is != should);
        assert!(
            document == wanted,
            "{DOCUMENT} is not what the rows say: `UPDATE_FIXTURES=1 cargo test faults` writes it; first {line:#?}"
        );
    }
    let rows: usize = super::tables().iter().map(|(_, rows)| rows.len()).sum();
    assert_eq!(
        rows,
        super::ROWS,
        "a row was added or lost: change the number"
    );
}
