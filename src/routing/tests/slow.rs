//! The choice of a location in a slow and obvious way, against which the fast one is held, here and in `tests/fuzz`.

use regex::bytes::RegexBuilder;

/// The result of a search: the entry's number, and whether the path lacks only the slash.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Choice {
    Answers(usize),
    AddsSlash(usize),
}

use Choice::AddsSlash;
use Choice::Answers;

/// nginx's documented rules, walked through from the first entry to the last for each of them.
pub(crate) fn slow(
    locations: &[(String, bool)],
    path: &[u8],
    admits: impl Fn(usize) -> bool,
) -> Option<Choice> {
    struct Read<'a> {
        to: usize,
        modifier: &'a str,
        name: &'a str,
        proxies: bool,
    }
    let admitted: Vec<Read<'_>> = locations
        .iter()
        .enumerate()
        .filter(|(to, _)| admits(*to))
        .map(|(to, (text, proxies))| {
            let (modifier, name) = text.split_once(' ').unwrap_or(("", text));
            Read {
                to,
                modifier,
                name,
                proxies: *proxies,
            }
        })
        .collect();
    let is_prefix = |read: &&Read<'_>| read.modifier.is_empty() || read.modifier == "^~";
    let is_exact = |read: &&Read<'_>| read.modifier == "=";

    // "If an exact match is found, the search terminates."
    if let Some(read) = admitted
        .iter()
        .filter(is_exact)
        .find(|read| read.name.as_bytes() == path)
    {
        return Some(Answers(read.to));
    }
    // "In response to a request with URI equal to this string, but without the trailing slash, a permanent redirect
    // will be returned ... If this is not desired, an exact match of the URI and location could be defined."
    let with_slash = [path, b"/"].concat();
    let is_slashed = |read: &&Read<'_>| read.name.as_bytes() == with_slash;
    let exact = admitted.iter().filter(is_exact).find(is_slashed);
    let prefix = admitted.iter().filter(is_prefix).find(is_slashed);
    if !admitted
        .iter()
        .filter(is_prefix)
        .any(|read| read.name.as_bytes() == path)
        && (exact.is_some_and(|read| read.proxies) || prefix.is_some_and(|read| read.proxies))
    {
        return exact.or(prefix).map(|read| AddsSlash(read.to));
    }
    // "The location with the longest matching prefix is selected and remembered."
    let mut longest: Option<&Read<'_>> = None;
    for read in admitted.iter().filter(is_prefix) {
        if path.starts_with(read.name.as_bytes())
            && longest.is_none_or(|longest| longest.name.len() < read.name.len())
        {
            longest = Some(read);
        }
    }
    // "If the longest matching prefix location has the ^~ modifier then regular expressions are not checked."
    if let Some(longest) = longest.filter(|longest| longest.modifier == "^~") {
        return Some(Answers(longest.to));
    }
    // "Regular expressions are checked in the order of their appearance."
    for read in admitted
        .iter()
        .filter(|read| read.modifier.starts_with('~'))
    {
        let ignore_case = read.modifier == "~*";
        let regex = RegexBuilder::new(read.name)
            .unicode(false)
            .case_insensitive(ignore_case)
            .build()
            .expect("a regex");
        if regex.is_match(path) {
            return Some(Answers(read.to));
        }
    }
    longest.map(|read| Answers(read.to))
}
