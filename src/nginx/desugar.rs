//! Writes out what nginx understands without being told, so that the rest of the import has one form to translate.

use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;

/// Makes `try_files` of a server a `location /`, if it has none: nginx obeys it where no location answers, and no
/// location inherits it.
pub(super) fn try_files_of_servers(http: &mut [Directive]) {
    let servers = http.iter_mut().filter(|one| one.name == "server");
    for block in servers.filter_map(|server| server.block.as_mut()) {
        let answers_all = |location: &Directive| {
            matches!(location.args.as_slice(), [path] if path == "/")
                || matches!(location.args.as_slice(), [kind, path] if kind == "^~" && path == "/")
        };
        if all(block, "location").any(answers_all) || last(block, "return").is_some() {
            continue;
        }
        let Some(at) = block.iter().rposition(|one| one.name == "try_files") else {
            continue;
        };
        let files = block.remove(at);
        block.push(Directive {
            name: "location".to_owned(),
            args: vec!["/".to_owned()],
            place: files.place,
            problem: None,
            block: Some(vec![files]),
        });
    }
}
