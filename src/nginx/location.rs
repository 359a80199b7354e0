//! Translates `location` blocks, those within others too, into routes that stand beside each other, in nginx's order.

use std::collections::BTreeSet;

use crate::nginx::action::action;
use crate::nginx::context::ServerContext;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::route::RouteEntry;
use crate::nginx::route::answering;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::routing::Location;
use crate::routing::LocationKind;

/// The block that a location stands in: a `server`, or another `location`.
#[derive(Clone, Copy, Debug)]
struct Outer<'s, 't> {
    scope: &'s Scope<'t>,
    /// What the block says about the locations in it, if it is a location.
    location: Option<Outside>,
}

/// What a location says about those within it.
#[derive(Clone, Copy, Debug)]
struct Outside {
    /// Whether its path is a regex.
    is_regex: bool,
    /// Whether `^~` keeps the regexes of the server from being asked.
    no_regex: bool,
}

/// The routes of a server's locations, in their order. What belongs to no route is noted in `comments`.
pub(super) fn routes<'t>(
    around: &ServerContext<'_, 't>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<RouteEntry> {
    let inside = around.server.inside();
    let named: BTreeSet<&str> = all(inside, "location")
        .flat_map(|location| all(location.inside(), "try_files"))
        .filter_map(|files| files.args.last())
        .map(String::as_str)
        .collect();
    let mut found = LocationRoutes {
        routes: Vec::new(),
        comments,
        notes,
    };
    let outer = Outer {
        scope: around.scope,
        location: None,
    };
    for location in all(inside, "location") {
        if !location.arg(0).starts_with('@') {
            translate(location, around, outer, &mut found);
        } else if !named.contains(location.arg(0)) {
            let comment = found
                .notes
                .left(location, "a named location is asked by no client");
            found.comments.push(comment);
        }
    }
    found.routes
}

/// The routes so far, and the comments that belong to none of them.
struct LocationRoutes<'f, 't> {
    routes: Vec<RouteEntry>,
    comments: &'f mut Vec<String>,
    notes: &'f mut Notes<'t>,
}

impl LocationRoutes<'_, '_> {
    /// The route that has the same location, beside which `routes.yaml` allows no other.
    fn same_as(&self, location: &Location) -> Option<&RouteEntry> {
        self.routes.iter().find(|known| {
            let known = known.location.parse::<Location>();
            known.is_ok_and(|known| known.same_as(location))
        })
    }
}

/// Translates a location and those within it.
fn translate<'t>(
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    outer: Outer<'_, 't>,
    found: &mut LocationRoutes<'_, '_>,
) {
    let scope = outer.scope.within(block.inside());
    let mut comments = Vec::new();
    let name = match location(block, outer.location) {
        Ok(name) => name,
        Err(why) => {
            note_lost(block, why, &scope, found);
            return;
        }
    };
    note_rest(block.inside(), &scope, found.notes, &mut comments);
    let constants = around.constants.within(block.inside());
    let here = ServerContext {
        constants: &constants,
        ..*around
    };
    let mut route = action(block, &here, &scope, found.notes);
    route.place = block.place;
    if let Some(first) = found.same_as(&name) {
        let first = found.notes.show(first.place);
        let why = format!("the location of {first} answers before it");
        let comment = found.notes.left(block, why);
        found.comments.push(comment);
    } else {
        comments.append(&mut route.comments);
        found.routes.push(RouteEntry {
            location: name.to_string(),
            comments,
            ..route
        });
    }
    let here = Outside {
        is_regex: name.kind().is_regex(),
        no_regex: name.kind() == LocationKind::PrefixNoRegex,
    };
    let here = Outer {
        scope: &scope,
        location: Some(here),
    };
    for inner in all(block.inside(), "location") {
        translate(inner, around, here, found);
    }
}

/// Notes a location that cannot be written, because of `why`.
///
/// If it keeps clients out, and its regex has look-around, then the regex without look-around, which matches more,
/// keeps them out in its place.
fn note_lost<'t>(
    block: &'t Directive,
    why: String,
    scope: &Scope<'t>,
    found: &mut LocationRoutes<'_, '_>,
) {
    let closed = scope.guard(block.inside()).is_some();
    let wider = without_look_around(&block.args.join(" "))
        .parse::<Location>()
        .ok();
    if let Some(wider) =
        wider.filter(|wider| closed && wider.kind().is_regex() && found.same_as(wider).is_none())
    {
        let mut route = answering(block.place, "403");
        route.location = wider.to_string();
        let why = format!("{why}: without it this answers 403 for more paths than nginx does");
        route.comments.push(found.notes.left(block, why));
        found.routes.push(route);
        return;
    }
    let so = match closed {
        true => "what it keeps closed is open here: close it by another route",
        false => "its requests go to the other locations",
    };
    let comment = found.notes.left(block, format!("{why}; {so}"));
    found.comments.push(comment);
}

/// The regex without its look-around: `(?!…)`, `(?=…)`, `(?<!…)` and `(?<=…)`.
fn without_look_around(regex: &str) -> String {
    let mut rest = regex;
    let mut plain = String::new();
    while let Some(at) = ["(?!", "(?=", "(?<!", "(?<="]
        .iter()
        .filter_map(|begin| rest.find(begin))
        .min()
    {
        plain += &rest[..at];
        let mut open = 0_usize;
        let mut escaped = false;
        let end = rest[at..].char_indices().find(|(_, c)| {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            open == 0
        });
        rest = end.map_or("", |(end, _)| &rest[at + end + 1..]);
    }
    plain + rest
}

/// The location as `routes.yaml` writes it, where one that stands within another stands on its own.
///
/// # Errors
/// The reason why it has no place there.
fn location(block: &Directive, outer: Option<Outside>) -> Result<Location, String> {
    if block.arg(0).starts_with('@') {
        return Err("a named location is asked by no client".to_owned());
    }
    let text = block.args.join(" ");
    let location: Location = text.parse().map_err(|error| format!("{error}"))?;
    if block.args.len() > 1 && location.pattern() != block.arg(1) {
        return Err("its path begins or ends with white space".to_owned());
    }
    let Some(outer) = outer else {
        return Ok(location);
    };
    if location.kind().is_regex() || outer.is_regex {
        return Err(
            "a regex in a location, or a location in a regex, has no place of its own".to_owned(),
        );
    }
    // In nginx the outer location decides whether the server's regexes are asked.
    let text = match location.kind() {
        LocationKind::Exact => location.to_string(),
        _ if outer.no_regex => format!("^~ {}", location.pattern()),
        _ => location.pattern().to_owned(),
    };
    text.parse().map_err(|error| format!("{error}"))
}
