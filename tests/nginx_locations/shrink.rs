//! Makes a disagreement as small as it gets, so that a person sees what it is about.

use crate::nginx_locations::ask::Both;
use crate::nginx_locations::differences::Case;
use crate::nginx_locations::echo::Echo;
use crate::nginx_locations::nginx::Nginx;
use crate::nginx_locations::requests::Request;
use crate::nginx_locations::table::Table;

/// Tables tried at most; each needs both programs started anew.
const TABLES: usize = 500;

/// Drops locations, paths of `proxy_pass` and bytes for as long as nginx and wsgate still disagree.
pub(super) async fn shrink(found: Case, echo: &Echo) -> Case {
    let mut smallest = found;
    let mut tries = 0;
    'smaller: loop {
        smallest = shorter(smallest, echo).await;
        for table in smaller_tables(&smallest.table) {
            tries += 1;
            if tries > TABLES {
                return smallest;
            }
            let requests = [smallest.request.clone()];
            if let Some(case) = first_disagreement(&table, &requests, echo).await {
                smallest = case;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

/// The same table and a request as short as it gets.
async fn shorter(found: Case, echo: &Echo) -> Case {
    let mut smallest = found;
    loop {
        let requests = shorter_requests(&smallest.request);
        match first_disagreement(&smallest.table, &requests, echo).await {
            Some(case) => smallest = case,
            None => return smallest,
        }
    }
}

/// The first of these requests about which both disagree.
async fn first_disagreement(table: &Table, requests: &[Request], echo: &Echo) -> Option<Case> {
    let host = requests.first()?.host.as_str();
    let nginx = Nginx::start([(host, table)], echo);
    let mut both = Both::start(table, &nginx, echo).await;
    for request in requests {
        let case = both.ask(table, request).await;
        if case.judge().is_err() {
            return Some(case);
        }
    }
    None
}

/// The request without its upgrade, and without any run of its target's bytes, the longest first.
fn shorter_requests(request: &Request) -> Vec<Request> {
    let mut shorter = Vec::new();
    if request.upgrade {
        let upgrade = false;
        shorter.push(Request {
            upgrade,
            ..request.clone()
        });
    }
    let length = request.target.len();
    for run in (1..length).rev() {
        for at in 0..=length - run {
            let mut target = request.target.clone();
            target.drain(at..at + run);
            shorter.push(Request {
                target,
                ..request.clone()
            });
        }
    }
    shorter
}

/// The table without one of its locations, or with one that says less.
fn smaller_tables(table: &Table) -> Vec<Table> {
    let mut smaller = Vec::new();
    for index in 0..table.routes.len() {
        let mut without = table.clone();
        let route = without.routes.remove(index);
        for rewrite in 0..route.rewrites.len() {
            let mut table = table.clone();
            table.routes[index].rewrites.remove(rewrite);
            smaller.push(table);
        }
        let mut replace = |modifier, pattern: &str, uri| {
            let mut simpler = route.clone();
            (simpler.modifier, simpler.pattern, simpler.uri) = (modifier, pattern.to_owned(), uri);
            if !without.has(&simpler) {
                let mut table = without.clone();
                table.routes.insert(index, simpler);
                smaller.push(table);
            }
        };
        if !route.uri.is_empty() {
            replace(route.modifier, &route.pattern, "");
        }
        if !route.uri.is_empty() && route.uri != "/" {
            replace(route.modifier, &route.pattern, "/");
        }
        if !route.is_regex() {
            if !route.modifier.is_empty() {
                replace("", &route.pattern, route.uri);
            }
            for (at, dropped) in route.pattern.char_indices() {
                let (before, after) = route.pattern.split_at(at);
                let pattern = format!("{before}{}", &after[dropped.len_utf8()..]);
                if pattern.starts_with('/') && !pattern.ends_with(' ') {
                    replace(route.modifier, &pattern, route.uri);
                }
            }
        }
        if !without.routes.is_empty() {
            smaller.push(without);
        }
    }
    let rewrites = |table: &Table| {
        let routes = table.routes.iter();
        routes.map(|route| route.rewrites.len()).sum::<usize>()
    };
    smaller.sort_by_key(|table| (table.routes.len(), rewrites(table)));
    smaller
}
