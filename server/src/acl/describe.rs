//! Rules that would make a selector or a user what it is, as `ACL LIST`, `ACL GETUSER` and files of users show them.

use super::catalog::{Catalog, Named};
use super::selector::Selector;
use super::user::User;
use tidegate_commands::model::Acl;

/// Bits of `ACL CAT`'s order up to which categories are those of Redis.
const CLASSIC_CATEGORIES: usize = 21;

impl Selector {
    /// The rules about commands: all or nothing first, then the categories that bring it nearest, then what is left.
    ///
    /// The choice of categories is that of Redis, and looks at its commands only; those of our own have their turn after
    /// that.
    pub fn describe_commands(&self, catalog: &Catalog) -> Vec<u8> {
        let is_additive = !self.with_future;
        let sign = if is_additive { "+" } else { "-" };
        let mut rules = if is_additive { "-@all ".to_owned() } else { "+@all ".to_owned() };
        let mut built = Selector::new(false);
        let begin: &[u8] = if is_additive { b"-@all" } else { b"+@all" };
        built.apply(catalog, begin).expect("a rule that is always right");
        // What is not explained yet.
        let mut rest = Selector::new(false);
        rest.commands = self.commands.clone();
        let (classic, own) = Acl::ALL.split_at(CLASSIC_CATEGORIES);
        for (categories, of_redis) in [(classic, true), (own, false)] {
            let mut left: Vec<&(Acl, &str)> = categories.iter().collect();
            while let Some(best) = rest.best_category(catalog, &left, is_additive, of_redis) {
                let (category, name) = left.remove(best);
                built.set_category(catalog, *category, is_additive);
                rest.set_category(catalog, *category, !is_additive);
                rules.extend([sign, "@", name, " "]);
            }
        }
        let mut rules = rules.into_bytes();
        for (index, named) in catalog.named().iter().enumerate().filter(|(_, named)| named.parent.is_none()) {
            self.describe_command(catalog, index, &mut built, &mut rules);
            for child in &named.children {
                self.describe_command(catalog, *child, &mut built, &mut rules);
            }
        }
        debug_assert!(
            catalog.named().iter().all(|named| built.commands.has(named.bit) == self.commands.has(named.bit)),
            "rules say what they describe"
        );
        rules.pop();
        rules
    }

    /// Says what is wrong about one command so far.
    fn describe_command(&self, catalog: &Catalog, index: usize, built: &mut Selector, rules: &mut Vec<u8>) {
        let Named { name, bit, .. } = &catalog.named()[index];
        let allowed = self.commands.has(*bit);
        if allowed != built.commands.has(*bit) {
            rules.extend_from_slice(format!("{}{name} ", if allowed { '+' } else { '-' }).as_bytes());
            built.set_command(catalog, index, allowed);
        }
        if !allowed {
            for argument in self.first_args.get(bit).into_iter().flatten() {
                rules.extend_from_slice(format!("+{name}|").as_bytes());
                rules.extend_from_slice(argument);
                rules.push(b' ');
            }
        }
    }

    /// The category with the fewest commands that are otherwise, if more of them are right than wrong.
    fn best_category(
        &self,
        catalog: &Catalog,
        left: &[&(Acl, &str)],
        is_additive: bool,
        of_redis: bool,
    ) -> Option<usize> {
        let mut best = None;
        let (mut least, mut most) = (usize::MAX, 0);
        for (index, (category, _)) in left.iter().enumerate() {
            let counted = |named: &&Named| named.acl.has(*category) && (named.is_classic || !of_redis);
            let (mut on, mut off) = (0, 0);
            for named in catalog.named().iter().filter(counted) {
                if self.commands.has(named.bit) { on += 1 } else { off += 1 }
            }
            let (wrong, right) = if is_additive { (off, on) } else { (on, off) };
            if right > wrong && (wrong < least || wrong == least && right > most) {
                best = Some(index);
                (least, most) = (wrong, right);
            }
        }
        best
    }

    /// All its rules.
    fn describe(&self, catalog: &Catalog) -> Vec<u8> {
        let begin: &[u8] = if self.all_channels { b"" } else { b"resetchannels" };
        let mut parts = vec![self.describe_keys(), begin.to_vec(), self.describe_channels()];
        parts.push(self.describe_dbs().into_bytes());
        parts.push(self.describe_commands(catalog));
        parts.retain(|part| !part.is_empty());
        parts.join(&b' ')
    }
}

impl User {
    /// All its rules, in the form that files of users have, without its name.
    pub fn describe(&self, catalog: &Catalog) -> Vec<u8> {
        let mut text = Vec::new();
        for flag in self.flags() {
            text.extend_from_slice(flag.as_bytes());
            text.push(b' ');
        }
        for password in self.passwords() {
            text.extend_from_slice(format!("#{password} ").as_bytes());
        }
        for (number, selector) in self.selectors().iter().enumerate() {
            let rules = selector.describe(catalog);
            if number == 0 {
                text.extend_from_slice(&rules);
            } else {
                text.extend_from_slice(b" (");
                text.extend_from_slice(&rules);
                text.push(b')');
            }
        }
        text
    }
}
