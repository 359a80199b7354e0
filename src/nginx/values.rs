//! What the values of nginx's directives mean: whether wsgate does the same without being told.

use crate::nginx::tree::Directive;

/// The size of a request's body beyond which nginx answers 413 if nothing is said, in bytes.
const DEFAULT_BODY_SIZE: u64 = 1 << 20;

/// The largest request head that wsgate reads, in bytes.
const LARGEST_HEAD: u64 = 64 << 10;

/// Whether the directive has the one value `on`.
pub(super) fn is_on(directive: &Directive) -> bool {
    is(directive, "on")
}

/// Whether the directive has the one value `off`.
pub(super) fn is_off(directive: &Directive) -> bool {
    is(directive, "off")
}

/// Whether the directive has the one value `0`.
pub(super) fn is_zero(directive: &Directive) -> bool {
    size(directive.arg(0)) == Some(0)
}

/// Whether the directive has the one value `1.1`.
pub(super) fn is_1_1(directive: &Directive) -> bool {
    is(directive, "1.1")
}

/// Whether a limit of bodies lets in at least as much as nginx does if nothing is said.
pub(super) fn is_above_default_body_size(directive: &Directive) -> bool {
    size(directive.arg(0)).is_some_and(|size| size == 0 || size >= DEFAULT_BODY_SIZE)
}

/// Whether the buffers for request heads, `4 8k` or `1k`, hold no larger head than wsgate reads.
pub(super) fn is_within_head_limit(directive: &Directive) -> bool {
    let mut product = Some(1_u64);
    for arg in &directive.args {
        product = product.zip(size(arg)).and_then(|(a, b)| a.checked_mul(b));
    }
    product.is_some_and(|size| size <= LARGEST_HEAD)
}

/// Whether names are looked up by a resolver that is the system's own where it exists: that of Docker's networks, or
/// that of systemd.
pub(super) fn is_stub_resolver(directive: &Directive) -> bool {
    let mut servers = directive.args.iter().filter(|arg| !arg.contains('='));
    servers.all(|server| matches!(server.as_str(), "127.0.0.11" | "127.0.0.53"))
}

/// Whether a list of protocols has TLS 1.2. What is older may stand beside it: OpenSSL 3 takes none of that but with
/// `@SECLEVEL=0` among the ciphers.
pub(super) fn has_tls_1_2(directive: &Directive) -> bool {
    directive.args.iter().any(|arg| arg == "TLSv1.2")
}

/// Whether a list of ciphers, as OpenSSL reads it, has one that wsgate has too, and does not ask for what OpenSSL holds
/// for too weak.
pub(super) fn has_sound_cipher(directive: &Directive) -> bool {
    let list = directive.arg(0);
    let weak = ["@SECLEVEL=0", "@SECLEVEL=1"];
    !weak.iter().any(|level| list.contains(level)) && list.split([':', ' ', ',']).any(is_sound)
}

/// Whether a member of a list of ciphers is, or stands for, one that wsgate has: AES-GCM or ChaCha20 with forward
/// secrecy.
fn is_sound(member: &str) -> bool {
    let words = [
        "ALL",
        "AESGCM",
        "CHACHA20",
        "DEFAULT",
        "ECDHE",
        "EECDH",
        "FIPS",
        "HIGH",
        "PROFILE=SYSTEM",
        "kECDHE",
        "kEECDH",
    ];
    let member = member.split('@').next().unwrap_or_default();
    let named =
        member.starts_with("ECDHE-") && (member.contains("-GCM-") || member.contains("-CHACHA20-"));
    named || member.starts_with("TLS_") || member.split('+').all(|part| words.contains(&part))
}

/// Whether a command for OpenSSL alters nothing but speed.
pub(super) fn is_harmless_command(directive: &Directive) -> bool {
    directive.arg(0) == "Options" && matches!(directive.arg(1), "KTLS" | "PrioritizeChaCha")
}

/// Reads one of nginx's sizes, `8k`, `1m` or `2g`, in bytes.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << unit)
}

/// Whether the directive has this one value.
fn is(directive: &Directive, value: &str) -> bool {
    matches!(directive.args.as_slice(), [one] if one.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use crate::nginx::tree::Directive;
    use crate::nginx::tree::SourceLine;
    use crate::nginx::values::has_sound_cipher;
    use crate::nginx::values::has_tls_1_2;
    use crate::nginx::values::is_above_default_body_size;
    use crate::nginx::values::is_stub_resolver;
    use crate::nginx::values::is_within_head_limit;

    fn with(args: &str) -> Directive {
        Directive {
            name: "x".to_owned(),
            args: args.split('_').map(str::to_owned).collect(),
            block: None,
            place: SourceLine { file: 0, line: 1 },
            problem: None,
        }
    }

    #[test]
    fn values_are_read_as_nginx_reads_them() {
        for (is, args, wanted) in [
            (
                is_above_default_body_size as fn(&Directive) -> bool,
                "0",
                true,
            ),
            (is_above_default_body_size, "1m", true),
            (is_above_default_body_size, "2G", true),
            (is_above_default_body_size, "1048575", false),
            (is_above_default_body_size, "1t", false),
            (is_above_default_body_size, "99999999999999999999", false),
            (is_within_head_limit, "4_16k", true),
            (is_within_head_limit, "8_16k", false),
            (is_within_head_limit, "99999999999g_9999999999g", false),
            (is_stub_resolver, "127.0.0.11_valid=30s", true),
            (is_stub_resolver, "127.0.0.11_8.8.8.8", false),
            (is_stub_resolver, "127.0.0.1:8600", false),
            (has_tls_1_2, "TLSv1.2_TLSv1.3", true),
            (has_tls_1_2, "TLSv1.2", true),
            (has_tls_1_2, "TLSv1.3", false),
            (has_tls_1_2, "TLSv1_TLSv1.1", false),
            (has_tls_1_2, "TLSv1_TLSv1.1_TLSv1.2", true),
            (has_sound_cipher, "HIGH:!aNULL:!MD5", true),
            (has_sound_cipher, "EECDH+AESGCM:EDH+AESGCM", true),
            (
                has_sound_cipher,
                "ECDHE-RSA-AES128-SHA:ECDHE-RSA-CHACHA20-POLY1305",
                true,
            ),
            (has_sound_cipher, "DEFAULT@SECLEVEL=2", true),
            (has_sound_cipher, "DEFAULT@SECLEVEL=0", false),
            (has_sound_cipher, "AES128-SHA:AES256-GCM-SHA384", false),
            (has_sound_cipher, "ECDHE-RSA-AES128-SHA256:!HIGH", false),
        ] {
            assert_eq!(is(&with(args)), wanted, "{args}");
        }
    }
}
