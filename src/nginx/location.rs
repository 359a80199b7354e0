//! Translates `location` blocks, those within others too, into routes that stand beside each other, in nginx's order.
//!
//! A location that has no place there, such as a regex within a location, leaves its requests to the others. If it keeps
//! clients out, a route that matches at least as much keeps them out in its place.

use std::collections::BTreeSet;

use crate::nginx::context::ServerContext;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::phases;
use crate::nginx::route::Does;
use crate::nginx::route::RouteEntry;
use crate::nginx::route::answering;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::wider;
use crate::routing::Location;
use crate::routing::LocationKind;

/// The block that a location stands in: a `server`, or another `location`.
#[derive(Clone, Copy, Debug)]
struct Outer<'s, 't> {
    scope: &'s Scope<'t>,
    /// How many locations are around.
    depth: usize,
    /// What the block says about the locations in it, if it is a location.
    location: Option<Outside<'s, 't>>,
}

/// What a location says about those within it.
#[derive(Clone, Copy, Debug)]
struct Outside<'s, 't> {
    /// Its path without modifier.
    path: &'s str,
    /// Whether its path is a regex, or has no place here.
    is_regex: bool,
    /// Whether `^~` keeps the regexes of the server from being asked.
    no_regex: bool,
    /// A regex location that keeps clients out of this one, and that `^~` keeps from being asked.
    closed_by: Option<&'t Directive>,
}

/// The routes of a server's locations, in their order. What belongs to no route is noted in `comments`.
pub(super) fn routes<'t>(
    around: &ServerContext<'_, 't>,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<RouteEntry> {
    let inside = around.server.inside();
    let mut asked = BTreeSet::new();
    names_asked(inside, &mut asked);
    let mut found = LocationRoutes {
        around,
        routes: Vec::new(),
        lifted: Vec::new(),
        comments,
        notes,
    };
    let outer = Outer {
        scope: around.scope,
        depth: 0,
        location: None,
    };
    for location in all(inside, "location") {
        if !location.arg(0).starts_with('@') {
            found.translate(location, outer);
        } else if !asked.contains(location.arg(0)) {
            found.leave(
                location,
                "a named location is asked by no client".to_owned(),
            );
        }
    }
    found.finish()
}

/// Adds the names of the locations to which a `try_files` or an `error_page` leads to `asked`.
fn names_asked<'t>(directives: &'t [Directive], asked: &mut BTreeSet<&'t str>) {
    for directive in directives {
        match directive.name.as_str() {
            "try_files" | "error_page" => asked.extend(directive.args.last().map(String::as_str)),
            _ => names_asked(directive.inside(), asked),
        }
    }
}

/// The routes of one location.
struct RouteGroup {
    location: Location,
    /// How many locations are around.
    depth: usize,
    routes: Vec<RouteEntry>,
}

/// The routes so far, and the comments that belong to none of them.
struct LocationRoutes<'f, 't, 'n> {
    around: &'f ServerContext<'f, 't>,
    routes: Vec<RouteGroup>,
    /// Those that keep clients out in the place of a location within another. nginx asks these before the regexes of
    /// the server.
    lifted: Vec<RouteGroup>,
    comments: &'f mut Vec<String>,
    notes: &'f mut Notes<'n>,
}

impl<'t, 'n> LocationRoutes<'_, 't, 'n> {
    /// All routes. Of two groups with the same location, beside which `routes.yaml` allows no other, the first is left.
    fn finish(mut self) -> Vec<RouteEntry> {
        let mut groups: Vec<RouteGroup> = Vec::new();
        for group in self.lifted.drain(..).chain(self.routes.drain(..)) {
            if groups
                .iter()
                .all(|known| !known.location.same_as(&group.location))
            {
                groups.push(group);
            }
        }
        let routes = groups.into_iter().flat_map(|group| {
            let location = group.location.to_string();
            group.routes.into_iter().map(move |route| RouteEntry {
                location: location.clone(),
                ..route
            })
        });
        routes.collect()
    }

    /// Notes a location that becomes no route.
    fn leave(&mut self, block: &Directive, why: String) {
        let comment = self.notes.left(block, why);
        self.comments.push(comment);
    }

    /// Translates a location and those within it.
    fn translate(&mut self, block: &'t Directive, outer: Outer<'_, 't>) {
        let scope = outer.scope.within_location(block);
        let (name, here) = match location(block, outer.location) {
            Ok(name) => self.place(block, name, &scope, outer.location),
            Err(why) => {
                self.leave_out(block, &why, &scope, outer);
                // Those within it have no place either, and may keep clients out too.
                let here = Outside {
                    path: "",
                    is_regex: true,
                    no_regex: false,
                    closed_by: None,
                };
                self.translate_inner(block, &scope, outer.depth + 1, here);
                return;
            }
        };
        let mut routes = self.routes_of(block, &scope);
        if let Some(closing) = here.closed_by {
            let why = "what it keeps closed would be open: `^~` asks for no regex";
            routes = phases::behind(closing, why, routes, self.notes);
        }
        let here = Outside {
            path: name.pattern(),
            ..here
        };
        let is_of_outer = outer.location.is_some_and(|outer| outer.path == here.path);
        let group = RouteGroup {
            location: name.clone(),
            depth: outer.depth,
            routes,
        };
        self.add(block, group, is_of_outer);
        self.translate_inner(block, &scope, outer.depth + 1, here);
    }

    /// The location of a route, and what it says about the locations within it, but for its path.
    fn place<'s>(
        &mut self,
        block: &'t Directive,
        name: Location,
        scope: &Scope<'t>,
        outer: Option<Outside<'_, 't>>,
    ) -> (Location, Outside<'s, 't>) {
        let mut here = Outside {
            path: "",
            is_regex: name.kind().is_regex(),
            no_regex: name.kind() == LocationKind::PrefixNoRegex,
            closed_by: outer.and_then(|outer| outer.closed_by),
        };
        let mut inner = all(block.inside(), "location");
        let closing = inner.find(|inner| {
            inner.arg(0).starts_with('~')
                && self
                    .closing(inner, &scope.within(inner.inside()), Some(scope))
                    .is_some()
        });
        let (true, Some(closing)) = (here.no_regex, closing) else {
            return (name, here);
        };
        // The regex within it stands beside it here, so that `^~` would keep it from being asked.
        let mut locations = all(self.around.server.inside(), "location");
        let has_regex = locations.any(|location| location.arg(0).starts_with('~'));
        match name.pattern().parse::<Location>() {
            Ok(plain) if !has_regex => {
                here.no_regex = false;
                (plain, here)
            }
            _ => {
                here.closed_by = Some(closing);
                (name, here)
            }
        }
    }

    /// Translates the locations within a location.
    fn translate_inner(
        &mut self,
        block: &'t Directive,
        scope: &Scope<'t>,
        depth: usize,
        here: Outside<'_, 't>,
    ) {
        let outer = Outer {
            scope,
            depth,
            location: Some(here),
        };
        for inner in all(block.inside(), "location") {
            self.translate(inner, outer);
        }
    }

    /// What a location does, with the comments about its block.
    fn routes_of(&mut self, block: &'t Directive, scope: &Scope<'t>) -> Vec<RouteEntry> {
        let mut comments = Vec::new();
        note_rest(block.inside(), scope, self.notes, &mut comments);
        let constants = self.around.constants.within(block.inside());
        let here = ServerContext {
            constants: &constants,
            ..*self.around
        };
        let mut routes = phases::routes(block, &here, scope, self.notes);
        for route in &mut routes {
            route.place = block.place;
        }
        if let Some(first) = routes.first_mut() {
            comments.append(&mut first.comments);
            first.comments = comments;
        }
        routes
    }

    /// Adds the routes of a location; `is_of_outer` says whether the location around it has the same path.
    fn add(&mut self, block: &Directive, group: RouteGroup, is_of_outer: bool) {
        let known = self
            .routes
            .iter()
            .position(|known| known.location.same_as(&group.location));
        let Some(known) = known else {
            self.routes.push(group);
            return;
        };
        // nginx looks into the location that it has found, and finds one with a longer path before one with a shorter.
        let first = self.routes[known]
            .routes
            .first()
            .map_or(block.place, |route| route.place);
        if is_of_outer || group.depth < self.routes[known].depth {
            let lost = Directive {
                place: first,
                ..block.clone()
            };
            let why = format!(
                "the location of {} answers before it",
                self.notes.show(block.place)
            );
            self.leave(&lost, why);
            self.routes[known] = group;
        } else {
            let why = format!(
                "the location of {} answers before it",
                self.notes.show(first)
            );
            self.leave(block, why);
        }
    }

    /// What is to answer in the place of a location with this scope that has no place here, if it keeps requests from
    /// those who would answer else: from the location with the scope `outer`, or from any of the server.
    fn closing(
        &self,
        block: &'t Directive,
        scope: &Scope<'t>,
        outer: Option<&Scope<'t>>,
    ) -> Option<(Vec<RouteEntry>, Notes<'n>)> {
        let is_closed = |scope: &Scope<'_>| scope.guard().is_some() || scope.internal.is_some();
        let is_guarded = is_closed(scope) && !outer.is_some_and(is_closed);
        let rules = scope.access_rules().unwrap_or_default();
        let is_ruled = !rules.is_open() && outer.and_then(Scope::access_rules) != Some(rules);
        let has_steps = block.inside().iter().any(|one| {
            matches!(
                one.name.as_str(),
                "return" | "if" | "rewrite" | "limit_except"
            )
        });
        if !is_guarded && !is_ruled && !has_steps {
            return None;
        }
        // What is noted counts only if it closes.
        let mut notes = self.notes.clone();
        let mut comments = Vec::new();
        note_rest(block.inside(), scope, &mut notes, &mut comments);
        let constants = self.around.constants.within(block.inside());
        let here = ServerContext {
            constants: &constants,
            ..*self.around
        };
        let mut routes = phases::routes(block, &here, scope, &mut notes);
        let answers = |route: &RouteEntry| matches!(route.does, Does::Return(_));
        if !is_guarded && !is_ruled && !routes.iter().any(answers) {
            return None;
        }
        if !routes.iter().all(answers) {
            let mut closed = answering(block.place, "403");
            closed.comments = routes
                .into_iter()
                .flat_map(|route| route.comments)
                .collect();
            routes = vec![closed];
        }
        if let Some(first) = routes.first_mut() {
            comments.append(&mut first.comments);
            first.comments = comments;
        }
        Some((routes, notes))
    }

    /// Notes a location with this scope that has no place here, because of `why`.
    fn leave_out(
        &mut self,
        block: &'t Directive,
        why: &str,
        scope: &Scope<'t>,
        outer: Outer<'_, 't>,
    ) {
        let is_inner = outer.location.is_some();
        let Some((mut routes, notes)) = self.closing(block, scope, is_inner.then_some(outer.scope))
        else {
            self.leave(
                block,
                format!("{why}; its requests go to the other locations"),
            );
            return;
        };
        *self.notes = notes;
        let prefix = outer
            .location
            .filter(|outer| !outer.is_regex)
            .map(|outer| outer.path);
        let wider = wider::of(&block.args.join(" "), prefix);
        let groups = if is_inner { &self.lifted } else { &self.routes };
        let Some(location) =
            wider.filter(|wider| groups.iter().all(|known| !known.location.same_as(wider)))
        else {
            self.leave(
                block,
                format!("{why}; another that matches what it does is closed already"),
            );
            return;
        };
        let why = format!("{why}: this answers for more paths than it does in nginx");
        let comment = self.notes.left(block, why);
        for route in &mut routes {
            route.place = block.place;
        }
        if let Some(first) = routes.first_mut() {
            first.comments.push(comment);
        }
        let group = RouteGroup {
            location,
            depth: outer.depth,
            routes,
        };
        match is_inner {
            true => self.lifted.push(group),
            false => self.routes.push(group),
        }
    }
}

/// The location as `routes.yaml` writes it, where one that stands within another stands on its own.
///
/// # Errors
/// The reason why it has no place there.
fn location(block: &Directive, outer: Option<Outside<'_, '_>>) -> Result<Location, String> {
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
