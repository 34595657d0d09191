//! What backtraces call the functions of a bridge, where it has several filters: `proxy_on_log of VM 2 (auth)`.

/// The name of a function for one filter.
pub(super) fn name(function: &str, label: Option<&str>) -> String {
    label.map_or_else(|| function.to_owned(), |label| format!("{function}{OF}{label}"))
}

/// What names call a virtual machine, the number counted from 0, with the plugins that it runs.
pub fn label<'a>(vm: usize, plugins: impl IntoIterator<Item = &'a str>) -> String {
    /// Characters of the plugins' names: each callback of the filter has them once.
    const LONGEST: usize = 64;
    let names: Vec<&str> = plugins.into_iter().filter(|name| !name.is_empty()).collect();
    let names: String = names.join(", ").chars().take(LONGEST).collect();
    let number = vm + 1;
    if names.is_empty() { number.to_string() } else { format!("{number} ({names})") }
}

/// The function and the number of the virtual machine, counted from 0, that such a name says.
pub fn parse(name: &str) -> (&str, Option<u32>) {
    let Some((function, label)) = name.split_once(OF) else { return (name, None) };
    let number = label.split(' ').next().and_then(|number| number.parse::<u32>().ok()?.checked_sub(1));
    (function, number)
}

const OF: &str = " of VM ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_vm() {
        for (plugins, expected) in [(&["", ""][..], "f of VM 2"), (&["a", "", "b (c)"], "f of VM 2 (a, b (c))")] {
            let named = name("f", Some(&label(1, plugins.iter().copied())));
            assert_eq!(named, expected);
            assert_eq!(parse(&named), ("f", Some(1)));
        }
        assert_eq!(parse(&name("f", None)), ("f", None));
        assert_eq!(parse("f of VM x"), ("f", None));
        assert_eq!(parse("f of VM 0"), ("f", None));
    }
}
