//! Follows a request of a location through nginx's phases: `if`, `return` and `rewrite`, then who may pass, then what
//! answers.
//!
//! A location becomes several routes if conditions choose among several answers: first those for some requests, last
//! the one for all others. Whatever stands in front of an upstream and cannot be said is closed, see [`closed`].

use crate::nginx::action;
use crate::nginx::action::ContentHandler;
use crate::nginx::conditions::Condition;
use crate::nginx::content_type;
use crate::nginx::context::ServerContext;
use crate::nginx::handed_on::may_begin_at;
use crate::nginx::notes::Notes;
use crate::nginx::other_directives::note_rest;
use crate::nginx::redirect;
use crate::nginx::rewrite_phase;
use crate::nginx::rewrite_phase::Outcome;
use crate::nginx::rewrite_phase::Step;
use crate::nginx::rewrites::is_break;
use crate::nginx::route;
use crate::nginx::route::Does;
use crate::nginx::route::RouteEntry;
use crate::nginx::route::answering;
use crate::nginx::route::returned;
use crate::nginx::route_when::RouteWhen;
use crate::nginx::scope::Guard;
use crate::nginx::scope::Scope;
use crate::nginx::tree::Directive;
use crate::nginx::tree::all;
use crate::nginx::tree::last;
use crate::nginx::variables::Constants;

/// How many times a request may be handed to a named location, as in nginx.
const MOST_JUMPS: usize = 10;

/// The routes for the location `block`, without its path and the comments about the rest of the block. The last one has
/// no conditions.
pub(super) fn routes<'t>(
    block: &'t Directive,
    around: &ServerContext<'_, 't>,
    scope: &Scope<'t>,
    notes: &mut Notes<'_>,
) -> Vec<RouteEntry> {
    if let Some(internal) = scope.internal {
        notes.needless(internal, "404 is what clients get from it in nginx too");
        return vec![answering(block.place, "404")];
    }
    let mut comments = Vec::new();
    let mut steps = around.steps.to_vec();
    steps.extend(steps_of(block, around.constants, notes, &mut comments));
    let mut follower = Follower {
        around,
        notes,
        jumps: 0,
    };
    let at = At {
        block,
        scope,
        pass: None,
        within: None,
        is_error: false,
    };
    let mut routes = follower.rewrite(&steps, at);
    comment(&mut routes, comments);
    routes
}

/// The steps of a location, once it was chosen.
fn steps_of<'t>(
    block: &'t Directive,
    constants: &Constants,
    notes: &mut Notes<'_>,
    comments: &mut Vec<String>,
) -> Vec<Step<'t>> {
    let except = last(block.inside(), "limit_except").map(Step::LimitExcept);
    let mut steps = rewrite_phase::steps(block.inside(), constants, notes, comments);
    // With `break` a request stays where it is.
    steps.retain(|step| !matches!(step, Step::HandOn(rewrite) if is_break(rewrite)));
    except.into_iter().chain(steps).collect()
}

/// The routes for what no location of the server answers. The last one has no conditions.
pub(super) fn without_location(
    around: &ServerContext<'_, '_>,
    notes: &mut Notes<'_>,
) -> Vec<RouteEntry> {
    let mut follower = Follower {
        around,
        notes,
        jumps: 0,
    };
    let at = At {
        block: around.server,
        scope: around.scope,
        pass: None,
        within: None,
        is_error: false,
    };
    follower.rewrite(around.steps, at)
}

/// The route for an outcome that is an answer of nginx's own, whatever the location.
pub(super) fn answer(
    outcome: &Outcome<'_>,
    constants: &Constants,
    notes: &mut Notes<'_>,
) -> Option<RouteEntry> {
    match outcome {
        Outcome::Return(directive) => Some(returned(directive, constants, notes)),
        Outcome::Redirect(rewrite) => Some(redirected(rewrite, constants, notes)),
        Outcome::ProxyPass { .. } => None,
    }
}

/// Where a request is.
#[derive(Clone, Copy)]
struct At<'s, 't> {
    /// The location, or the server if there is none.
    block: &'t Directive,
    /// The directives that are in force.
    scope: &'s Scope<'t>,
    /// The `proxy_pass` that an `if` has chosen.
    pass: Option<&'t Directive>,
    /// The last `if` that held. It inherits from the location, and its own directives are in force.
    within: Option<&'t Directive>,
    /// Whether an `error_page` led here; no other is obeyed then.
    is_error: bool,
}

/// Follows requests through the phases.
struct Follower<'a, 'n, 't, 'f> {
    around: &'a ServerContext<'a, 't>,
    notes: &'n mut Notes<'f>,
    /// How many named locations lie behind the request.
    jumps: usize,
}

impl<'t> Follower<'_, '_, 't, '_> {
    /// The routes for a request that has these steps before it.
    fn rewrite(&mut self, steps: &[Step<'t>], at: At<'_, 't>) -> Vec<RouteEntry> {
        let Some((step, rest)) = steps.split_first() else {
            return self.access(at);
        };
        match step {
            Step::All(outcome, within) => {
                let within = within.or(at.within);
                self.outcome(outcome, rest, At { within, ..at })
            }
            Step::Some(condition, outcome, within) => {
                let within = Some(*within);
                let these = self.outcome(outcome, rest, At { within, ..at });
                let others = self.rewrite(rest, at);
                match condition {
                    Condition::Always => these,
                    Condition::Never => others,
                    Condition::When(when) => either(when, these, others),
                    Condition::Unless(when) => either(when, others, these),
                }
            }
            Step::Unknown(directive, why, pass) => {
                let mut routes = self.rewrite(rest, at);
                if pass.is_some() {
                    routes.extend(self.access(At { pass: *pass, ..at }));
                }
                behind(directive, why, routes, self.notes)
            }
            Step::HandOn(rewrite) => {
                let routes = self.rewrite(rest, at);
                let may_pass_by = routes.iter().any(RouteEntry::opens)
                    && may_begin_at(rewrite, at.block)
                    && self.around.targets.may_refuse(rewrite, at.block, at.scope);
                if !may_pass_by {
                    return routes;
                }
                let why = "the location that it leads to keeps clients out";
                behind(rewrite, why, routes, self.notes)
            }
            Step::LimitExcept(except) => {
                let scope = at.scope.within(except.inside());
                let limited = At {
                    scope: &scope,
                    pass: last(except.inside(), "proxy_pass"),
                    ..at
                };
                let others = self.access(limited);
                let these = self.rewrite(rest, at);
                either(&not_limited(except), these, others)
            }
        }
    }

    /// The routes for requests that meet with `outcome`, and then perhaps with the `rest` of the steps.
    fn outcome(
        &mut self,
        outcome: &Outcome<'t>,
        rest: &[Step<'t>],
        at: At<'_, 't>,
    ) -> Vec<RouteEntry> {
        match outcome {
            Outcome::Return(directive) => self.returned(directive, at),
            Outcome::Redirect(rewrite) => {
                let route = redirected(rewrite, self.around.constants, self.notes);
                vec![self.with_fields(route, at)]
            }
            Outcome::ProxyPass { pass, ends } => {
                let at = At {
                    pass: Some(pass),
                    ..at
                };
                self.rewrite(if *ends { &[] } else { rest }, at)
            }
        }
    }

    /// The routes for requests that a `return` answers.
    fn returned(&mut self, directive: &'t Directive, at: At<'_, 't>) -> Vec<RouteEntry> {
        let page = at
            .scope
            .page(directive.arg(0))
            .filter(|_| directive.args.len() == 1 && !at.is_error);
        match page.and_then(|name| self.named(name)) {
            Some(named) => self.jump(named, true),
            None => {
                let mut route = returned(directive, self.around.constants, self.notes);
                let location = match std::ptr::eq(at.block, self.around.server) {
                    true => &[],
                    false => at.block.args.as_slice(),
                };
                let other_type = content_type::lost(directive, location, at.scope);
                let comment = other_type.map(|why| self.notes.left(directive, why));
                route.comments.extend(comment);
                vec![self.with_fields(route, at)]
            }
        }
    }

    /// The route, with what changes in the fields of its answers.
    fn with_fields(&mut self, mut route: RouteEntry, at: At<'_, 't>) -> RouteEntry {
        let scope = at.within.map(|within| at.scope.within(within.inside()));
        let scope = scope.as_ref().unwrap_or(at.scope);
        route.change_fields(scope, self.around.constants, self.notes);
        route
    }

    /// The named location of the server.
    fn named(&self, name: &str) -> Option<&'t Directive> {
        all(self.around.server.inside(), "location").find(|location| location.arg(0) == name)
    }

    /// The routes for requests that are handed to a named location, which inherits from the server.
    fn jump(&mut self, named: &'t Directive, is_error: bool) -> Vec<RouteEntry> {
        if self.jumps >= MOST_JUMPS {
            return vec![answering(named.place, "500")];
        }
        let scope = self.around.scope.within_location(named);
        let constants = self.around.constants.within(named.inside());
        let around = ServerContext {
            constants: &constants,
            ..*self.around
        };
        let mut comments = Vec::new();
        note_rest(named.inside(), &scope, self.notes, &mut comments);
        let steps = steps_of(named, &constants, self.notes, &mut comments);
        let mut follower = Follower {
            around: &around,
            notes: self.notes,
            jumps: self.jumps + 1,
        };
        let at = At {
            block: named,
            scope: &scope,
            pass: None,
            within: None,
            is_error,
        };
        let mut routes = follower.rewrite(&steps, at);
        comment(&mut routes, comments);
        routes
    }

    /// The routes for a request that is to be answered by what stands in the location, if it may pass.
    fn access(&mut self, at: At<'_, 't>) -> Vec<RouteEntry> {
        match at.scope.guard() {
            Some(Guard::Nobody) => {
                let route = answering(at.block.place, "403");
                vec![self.with_fields(route, at)]
            }
            Some(Guard::Some(directive)) => {
                let why = "wsgate cannot tell who may pass: this answers 403, so that nobody does";
                let routes = self.content(at);
                vec![closed(directive, ("403", why), routes, self.notes)]
            }
            Some(Guard::Parts(directive)) => {
                let why = "requests go on whole, and what it keeps from the upstream would get there: this answers 501";
                let routes = self.content(at);
                vec![closed(directive, ("501", why), routes, self.notes)]
            }
            None => {
                let mut routes = self.content(at);
                for route in &mut routes {
                    restrict(route, at.scope);
                }
                routes
            }
        }
    }

    /// The routes for a request that has passed.
    fn content(&mut self, at: At<'_, 't>) -> Vec<RouteEntry> {
        if std::ptr::eq(at.block, self.around.server) {
            let route = route::nothing_else(at.block.place);
            return vec![self.with_fields(route, at)];
        }
        match action::content(at.block, at.pass, self.around, at.scope, self.notes) {
            ContentHandler::Route(route) => vec![self.with_fields(*route, at)],
            ContentHandler::Named(files) => {
                let name = files.args.last().map_or("", String::as_str);
                let mut routes = match self.named(name) {
                    Some(named) => self.jump(named, at.is_error),
                    None => vec![answering(at.block.place, "404")],
                };
                let why =
                    format!("no file is looked for: all goes to the upstream of {name} at once");
                if let Some(first) = routes.first_mut() {
                    first.comments.push(self.notes.left(files, why));
                }
                routes
            }
        }
    }
}

/// The routes for requests some of which `directive` keeps from `routes`. If there is something to open, all get 403.
pub(super) fn behind(
    directive: &Directive,
    why: &str,
    mut routes: Vec<RouteEntry>,
    notes: &mut Notes<'_>,
) -> Vec<RouteEntry> {
    if routes.iter().any(RouteEntry::opens) {
        let why = format!("{why}: this answers 403, so that nobody passes");
        return vec![closed(directive, ("403", &why), routes, notes)];
    }
    let note = notes.left(directive, why);
    comment(&mut routes, vec![note]);
    routes
}

/// The one route in the place of `routes`, which answers this status, because of what `directive` keeps closed. A
/// comment says how to open it.
fn closed(
    directive: &Directive,
    (status, why): (&str, &str),
    routes: Vec<RouteEntry>,
    notes: &mut Notes<'_>,
) -> RouteEntry {
    let open = match status {
        "403" => "to let everybody pass",
        _ => "to let requests go on whole",
    };
    let place = routes.first().map_or(directive.place, |route| route.place);
    let mut closed = answering(place, status);
    let mut upstreams: Vec<String> = Vec::new();
    for route in routes {
        closed.comments.extend(route.comments);
        closed.groups.extend(route.groups);
        match route.does {
            Does::ProxyPass(to) if !upstreams.contains(&to) => upstreams.push(to),
            _ => {}
        }
    }
    closed.comments.push(notes.left(directive, why));
    closed.comments.extend(
        upstreams
            .iter()
            .map(|to| format!("{open}, write instead: proxy_pass: {to}")),
    );
    closed
}

/// The route for requests that a `rewrite` redirects.
fn redirected(rewrite: &Directive, constants: &Constants, notes: &mut Notes<'_>) -> RouteEntry {
    match redirect::as_return(rewrite, constants) {
        Ok(text) => answering(rewrite.place, &text),
        Err(why) => {
            let mut route = answering(rewrite.place, "501");
            let why = format!("{why}; this answers 501");
            route.comments.push(notes.left(rewrite, why));
            route
        }
    }
}

/// Routes of which the first are for requests that meet `when`, and the `others` for all others.
fn either(when: &RouteWhen, these: Vec<RouteEntry>, others: Vec<RouteEntry>) -> Vec<RouteEntry> {
    let these = these.into_iter().filter_map(|route| {
        let when = route.when.and(when)?;
        Some(RouteEntry { when, ..route })
    });
    let mut routes: Vec<RouteEntry> = Vec::new();
    for route in these.chain(others) {
        // Of two routes with the same conditions only the first is ever asked.
        if routes.iter().all(|known| known.when != route.when) {
            routes.push(route);
        }
    }
    routes
}

/// The requests whose methods a `limit_except` leaves alone.
fn not_limited(except: &Directive) -> RouteWhen {
    let mut method: Vec<String> = except
        .args
        .iter()
        .map(|method| method.to_ascii_uppercase())
        .collect();
    if method.iter().any(|method| method == "GET") && method.iter().all(|method| method != "HEAD") {
        method.push("HEAD".to_owned());
    }
    RouteWhen {
        method,
        ..RouteWhen::default()
    }
}

/// Puts `comments` in front of those of the first route.
fn comment(routes: &mut [RouteEntry], mut comments: Vec<String>) {
    if let Some(first) = routes.first_mut() {
        comments.append(&mut first.comments);
        first.comments = comments;
    }
}

/// Gives a route with an upstream the addresses that may use it. Everybody may get an answer that wsgate makes itself.
fn restrict(route: &mut RouteEntry, scope: &Scope<'_>) {
    let addresses = scope.access_rules().unwrap_or_default();
    if !matches!(route.does, Does::ProxyPass(_)) || addresses.is_open() {
        return;
    }
    if route.access_rules.is_open() || route.access_rules == addresses {
        route.access_rules = addresses;
        return;
    }
    // With `try_files … @name` nginx asks the list of the location and that of the named one.
    let mut closed = answering(route.place, "403");
    closed.when = std::mem::take(&mut route.when);
    closed.comments.append(&mut route.comments);
    closed
        .comments
        .push("two lists say who may pass: this answers 403, so that nobody does".to_owned());
    *route = closed;
}
