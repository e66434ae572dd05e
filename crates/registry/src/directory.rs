//! Who holds which name until when.

use std::{collections::BTreeMap, time::Duration};

use backfence_process::{Entry, Name, Secret};

/// Names at once. More are denied.
pub const MAX_ENTRIES: usize = 4096;

/// How long a name is held without a renewal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lease(Duration);

impl Lease {
    /// What one gets who asks for none.
    pub const DEFAULT: Self = Self(Duration::from_secs(3));
    /// A shorter one would lapse in an ordinary pause.
    pub const SHORTEST: Self = Self(Duration::from_millis(500));
    /// A longer one would keep the dead listed.
    pub const LONGEST: Self = Self(Duration::from_secs(60));

    /// The lease nearest to what is asked for; 0 asks for the default.
    pub fn granted(asked_ms: u32) -> Self {
        match asked_ms {
            0 => Self::DEFAULT,
            ms => Self(Duration::from_millis(ms.into())).clamp(Self::SHORTEST, Self::LONGEST),
        }
    }

    /// In milliseconds.
    pub fn as_millis(self) -> u32 {
        u32::try_from(self.0.as_millis()).expect("at most 60,000")
    }
}

/// Why a name is not granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Another holds it. If that one is dead, ask again and say so.
    Clash {
        /// Who holds it.
        holder: Entry,
    },
    /// There are [`MAX_ENTRIES`] names already.
    Full,
}

/// With what a name is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// None for a program before 0.2.
    pub secret: Option<Secret>,
    /// Who asks has shown that it is the program at its address.
    pub shown: bool,
    /// How long it wants the name.
    pub lease: Lease,
}

/// The names, without a clock or a socket: `now` is, throughout, the reading of
/// one stopwatch that the caller keeps. An entry whose lease has run out is not
/// there any more, whether [`expire`](Self::expire) has been called or not.
#[derive(Debug, Default)]
pub struct Directory {
    held: BTreeMap<Name, Held>,
    version: u64,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    /// None for a program before 0.2.
    secret: Option<Secret>,
    /// It has shown that it is the program at its address.
    shown: bool,
    lease: Lease,
    /// The first moment at which it is not held any more.
    until: Duration,
}

impl Held {
    /// The instance alone proves nothing where there is a secret: it is listed.
    fn is_held_by(&self, instance: u64, secret: Option<Secret>) -> bool {
        self.entry.instance == instance && self.secret == secret
    }
}

impl Directory {
    /// Takes a name, renews it (the same instance and secret), or moves it to
    /// another address (likewise). `shown` is a newcomer that is known to be the program at
    /// its address: a holder there has gone. So it has where it had shown itself, and the
    /// newcomer has not: the program there cannot, so it is another. `dead` is a holder that
    /// was found dead: it loses the name, unless that has changed hands meanwhile.
    ///
    /// A program before 0.2 has no secret. Its instance counts alone. One before 0.3 cannot
    /// show itself.
    ///
    /// # Errors
    ///
    /// [`Denied`], and nothing has changed.
    pub fn register(
        &mut self,
        entry: Entry,
        Claim {
            secret,
            shown,
            lease,
        }: Claim,
        dead: Option<&Entry>,
        now: Duration,
    ) -> Result<(), Denied> {
        let holder = self.find(&entry.name, now);
        if let Some(holder) = holder {
            let yields = holder.is_held_by(entry.instance, secret)
                || holder.entry.address == entry.address && (shown || holder.shown)
                || dead == Some(&holder.entry);
            if !yields {
                return Err(Denied::Clash {
                    holder: holder.entry.clone(),
                });
            }
        } else if self.held.len() >= MAX_ENTRIES && self.len(now) >= MAX_ENTRIES {
            return Err(Denied::Full);
        }
        if holder.map(|holder| &holder.entry) != Some(&entry) {
            self.version += 1;
        }
        let until = now + lease.0;
        let name = entry.name.clone();
        self.held.insert(
            name,
            Held {
                entry,
                secret,
                shown,
                lease,
                until,
            },
        );
        Ok(())
    }

    /// The claim of a holder that asks for what it has, at the same address.
    pub fn renews(&self, entry: &Entry, asked: Claim, now: Duration) -> Option<Claim> {
        let held = self.find(&entry.name, now)?;
        let same = held.entry == *entry && held.is_held_by(entry.instance, asked.secret);
        same.then_some(Claim {
            shown: held.shown,
            ..asked
        })
    }

    /// What the holder of a name has claimed it with.
    pub fn claim(&self, name: &Name, now: Duration) -> Option<Claim> {
        let claim = |held: &Held| Claim {
            secret: held.secret,
            shown: held.shown,
            lease: held.lease,
        };
        self.find(name, now).map(claim)
    }

    /// Prolongs a lease by its length from now. False when who asks does not hold
    /// the name (any more): it must register again.
    pub fn renew(
        &mut self,
        name: &Name,
        instance: u64,
        secret: Option<Secret>,
        now: Duration,
    ) -> bool {
        let held = self.held.get_mut(name);
        let held = held.filter(|held| held.is_held_by(instance, secret) && now < held.until);
        if let Some(held) = held {
            held.until = now + held.lease.0;
            return true;
        }
        false
    }

    /// Gives a name up, if who asks holds it.
    pub fn unregister(&mut self, name: &Name, instance: u64, secret: Option<Secret>) {
        let held = self.held.get(name);
        if held.is_some_and(|held| held.is_held_by(instance, secret)) {
            self.held.remove(name);
            self.version += 1;
        }
    }

    /// The entry of a name.
    pub fn look_up(&self, name: &Name, now: Duration) -> Option<&Entry> {
        self.find(name, now).map(|held| &held.entry)
    }

    /// What a process holds of the names that begin with the prefix, in their order.
    pub fn held_by(
        &self,
        prefix: &str,
        instance: u64,
        secret: Option<Secret>,
        now: Duration,
    ) -> impl Iterator<Item = &Entry> {
        self.begin(prefix, now)
            .filter(move |held| held.is_held_by(instance, secret))
            .map(|held| &held.entry)
    }

    /// The entries whose name begins with the prefix, in the order of [`Name`]:
    /// `SERVER10` after `SERVER9`.
    pub fn list(&self, prefix: &str, now: Duration) -> impl Iterator<Item = &Entry> {
        self.begin(prefix, now).map(|held| &held.entry)
    }

    /// Forgets what has run out, and gives it back.
    pub fn expire(&mut self, now: Duration) -> Vec<Entry> {
        let mut expired = Vec::new();
        self.held.retain(|_, held| {
            let lapsed = held.until <= now;
            if lapsed {
                expired.push(held.entry.clone());
            }
            !lapsed
        });
        self.version += u64::from(!expired.is_empty());
        expired
    }

    /// When the next lease runs out, if it is not renewed.
    pub fn next_expiry(&self) -> Option<Duration> {
        self.held.values().map(|held| held.until).min()
    }

    /// Grows with each change of what is listed.
    pub fn version(&self) -> u64 {
        self.version
    }

    fn find(&self, name: &Name, now: Duration) -> Option<&Held> {
        self.held.get(name).filter(|held| now < held.until)
    }

    fn begin(&self, prefix: &str, now: Duration) -> impl Iterator<Item = &Held> {
        self.held
            .values()
            .filter(move |held| now < held.until && held.entry.name.as_str().starts_with(prefix))
    }

    fn len(&self, now: Duration) -> usize {
        self.held.values().filter(|held| now < held.until).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn entry(name: &str, port: u16, instance: u64) -> Entry {
        Entry {
            name: Name::new(name).unwrap(),
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            instance,
        }
    }

    fn register(directory: &mut Directory, entry: &Entry, now: u64) -> Result<(), Denied> {
        register_with(directory, entry, None, now)
    }

    fn register_with(
        directory: &mut Directory,
        entry: &Entry,
        secret: Option<Secret>,
        now: u64,
    ) -> Result<(), Denied> {
        directory.register(entry.clone(), claim(secret, true), None, ms(now))
    }

    fn claim(secret: Option<Secret>, shown: bool) -> Claim {
        Claim {
            secret,
            shown,
            lease: Lease::DEFAULT,
        }
    }

    fn secret(byte: u8) -> Option<Secret> {
        Secret::read(&[byte; 16]).unwrap()
    }

    fn names(directory: &Directory, prefix: &str, now: u64) -> Vec<String> {
        let names = directory.list(prefix, ms(now));
        names.map(|entry| entry.name.to_string()).collect()
    }

    #[test]
    fn leases_are_bounded() {
        let check = |asked, granted| assert_eq!(Lease::granted(asked).as_millis(), granted);
        check(0, 3_000);
        check(1, 500);
        check(500, 500);
        check(10_000, 10_000);
        check(60_001, 60_000);
        check(u32::MAX, 60_000);
    }

    #[test]
    fn a_lease_runs_out_unless_renewed() {
        let mut directory = Directory::default();
        let one = entry("SERVER1", 1, 1);
        register(&mut directory, &one, 0).unwrap();
        assert!(directory.renew(&one.name, 1, None, ms(2_999)));
        assert_eq!(directory.look_up(&one.name, ms(5_998)), Some(&one));
        assert_eq!(directory.look_up(&one.name, ms(5_999)), None);
        assert_eq!(names(&directory, "", 5_999), [""; 0]);
        assert!(!directory.renew(&one.name, 1, None, ms(5_999)), "too late");
    }

    #[test]
    fn what_has_run_out_is_forgotten_at_its_time() {
        let mut directory = Directory::default();
        assert_eq!(directory.next_expiry(), None);
        let (one, two) = (entry("A", 1, 1), entry("B", 2, 2));
        register(&mut directory, &one, 0).unwrap();
        register(&mut directory, &two, 100).unwrap();
        let version = directory.version();
        assert_eq!(directory.next_expiry(), Some(ms(3_000)));
        assert_eq!(directory.expire(ms(2_999)), []);
        assert_eq!(directory.version(), version);
        assert_eq!(directory.expire(ms(3_000)), [one]);
        assert_eq!(directory.version(), version + 1);
        assert_eq!(directory.next_expiry(), Some(ms(3_100)));
    }

    #[test]
    fn only_the_holder_renews_moves_or_leaves() {
        let check = |held, (instance, secret): (u64, Option<Secret>), is_holder| {
            let case = format!("{instance}, {}", secret.is_some());
            let mut directory = Directory::default();
            let one = entry("SERVER1", 1, 1);
            register_with(&mut directory, &one, held, 0).unwrap();
            let name = &one.name;
            let renewed = directory.renew(name, instance, secret, ms(1));
            assert_eq!(renewed, is_holder, "{case}");
            let held_by = directory.held_by("SERVER", instance, secret, ms(1));
            assert_eq!(held_by.count() == 1, is_holder, "{case}");

            let elsewhere = entry("SERVER1", 2, instance);
            let moved = register_with(&mut directory, &elsewhere, secret, 1);
            let clash = Denied::Clash {
                holder: one.clone(),
            };
            assert_eq!(moved, if is_holder { Ok(()) } else { Err(clash) }, "{case}");
            let left = if is_holder { &elsewhere } else { &one };
            assert_eq!(directory.look_up(name, ms(1)), Some(left), "{case}");

            directory.unregister(name, instance, secret);
            let left = directory.look_up(name, ms(1)).is_none();
            assert_eq!(left, is_holder, "{case}");
        };
        let (mine, other) = (secret(1), secret(2));
        check(mine, (1, mine), true);
        check(mine, (1, other), false);
        check(mine, (1, None), false);
        check(mine, (2, mine), false);
        // A program before 0.2.
        check(None, (1, None), true);
        check(None, (2, None), false);
        check(None, (1, other), false);
    }

    #[test]
    fn who_takes_a_name_brings_its_own_secret() {
        let check = |newcomer: &Entry, dead: Option<&Entry>| {
            let mut directory = Directory::default();
            let (old, new) = (secret(1), secret(2));
            register_with(&mut directory, &entry("SERVER1", 1, 1), old, 0).unwrap();
            directory
                .register(newcomer.clone(), claim(new, true), dead, ms(1))
                .unwrap();
            let (name, instance) = (&newcomer.name, newcomer.instance);
            assert_eq!(directory.look_up(name, ms(1)), Some(newcomer));
            assert!(!directory.renew(name, instance, old, ms(2)));
            assert!(directory.renew(name, instance, new, ms(2)));
        };
        let dead = entry("SERVER1", 1, 1);
        check(&entry("SERVER1", 2, 2), Some(&dead));
        check(&entry("SERVER1", 1, 2), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut directory = Directory::default();
        let one = entry("SERVER1", 1, 1);
        register_with(&mut directory, &one, secret(213), 0).unwrap();
        assert!(!format!("{directory:?}").contains("213"));
    }

    #[test]
    fn a_holder_keeps_its_name_until_found_dead() {
        let mut directory = Directory::default();
        let (holder, other) = (entry("SERVER1", 1, 1), entry("SERVER1", 2, 2));
        register(&mut directory, &holder, 0).unwrap();
        let clash = Denied::Clash {
            holder: holder.clone(),
        };
        assert_eq!(register(&mut directory, &other, 1), Err(clash));
        directory
            .register(other.clone(), claim(None, true), Some(&holder), ms(2))
            .unwrap();
        assert_eq!(directory.look_up(&other.name, ms(2)), Some(&other));
    }

    #[test]
    fn a_name_that_changed_hands_during_the_dial_is_kept() {
        let mut directory = Directory::default();
        let (dead, first) = (entry("SERVER1", 1, 1), entry("SERVER1", 2, 2));
        let second = entry("SERVER1", 3, 3);
        register(&mut directory, &dead, 0).unwrap();
        let mut take = |entry: &Entry| {
            directory.register(entry.clone(), claim(None, true), Some(&dead), ms(1))
        };
        take(&first).unwrap();
        assert_eq!(take(&second), Err(Denied::Clash { holder: first }));
    }

    /// Who can only name the holder's address takes nothing over, also not in two steps.
    #[test]
    fn a_newcomer_at_the_holders_address_replaces_it_if_it_is_there() {
        let check = |held: bool, newcomer: bool, replaces: bool| {
            let mut directory = Directory::default();
            let (gone, back) = (entry("SERVER1", 1, 1), entry("SERVER1", 1, 2));
            let mut register = |entry: &Entry, secret, shown| {
                directory.register(entry.clone(), claim(secret, shown), None, ms(1))
            };
            register(&gone, secret(1), held).unwrap();
            let clash = Err(Denied::Clash {
                holder: gone.clone(),
            });
            let expected = if replaces { Ok(()) } else { clash.clone() };
            assert_eq!(register(&back, secret(2), newcomer), expected);
            let moved = register(&entry("SERVER1", 3, 2), secret(2), true);
            assert_eq!(moved, expected, "{held} {newcomer}");
        };
        check(true, true, true);
        check(false, true, true);
        // The program at the address is an older one than the holder was.
        check(true, false, true);
        check(false, false, false);
    }

    #[test]
    fn a_renewal_by_registering_shows_only_when_it_moves() {
        let mut directory = Directory::default();
        let one = entry("SERVER1", 1, 1);
        register(&mut directory, &one, 0).unwrap();
        let version = directory.version();
        register(&mut directory, &one, 2_000).unwrap();
        assert_eq!(directory.version(), version);
        assert_eq!(directory.look_up(&one.name, ms(4_999)), Some(&one));
        register(&mut directory, &entry("SERVER1", 9, 1), 2_001).unwrap();
        assert_eq!(directory.version(), version + 1);
    }

    #[test]
    fn lists_are_by_prefix_and_number() {
        let mut directory = Directory::default();
        for (port, name) in (1..).zip(["SERVER10", "FRONTEND", "SERVER9", "SERVER"]) {
            register(&mut directory, &entry(name, port, port.into()), 0).unwrap();
        }
        let all = ["FRONTEND", "SERVER", "SERVER9", "SERVER10"];
        assert_eq!(names(&directory, "", 0), all);
        assert_eq!(names(&directory, "SERVER", 0), all[1..]);
        assert_eq!(names(&directory, "SERVERS", 0), [""; 0]);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut directory = Directory::default();
        for n in 1..=MAX_ENTRIES as u64 {
            register(&mut directory, &entry(&format!("S{n}"), 1, n), 0).unwrap();
        }
        let late = entry("LATE", 2, 0);
        assert_eq!(register(&mut directory, &late, 0), Err(Denied::Full));
        register(&mut directory, &entry("S1", 3, 1), 0).expect("a renewal needs no room");
        register(&mut directory, &late, 3_000).expect("the lapsed take no room");
    }
}
