//! Who holds which name until when.

use std::{collections::BTreeMap, time::Duration};

use backfence_process::{Entry, Name};

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
    lease: Lease,
    /// The first moment at which it is not held any more.
    until: Duration,
}

impl Directory {
    /// Takes a name, renews it (the same instance), or moves it to another
    /// address (likewise). A holder at the address of the newcomer has gone, or
    /// the newcomer could not listen there. `dead` is a holder that was found
    /// dead: it loses the name, unless that has changed hands meanwhile.
    ///
    /// # Errors
    ///
    /// [`Denied`], and nothing has changed.
    pub fn register(
        &mut self,
        entry: Entry,
        lease: Lease,
        dead: Option<&Entry>,
        now: Duration,
    ) -> Result<(), Denied> {
        let holder = self.look_up(&entry.name, now);
        if let Some(holder) = holder {
            let yields = holder.instance == entry.instance
                || holder.address == entry.address
                || dead == Some(holder);
            if !yields {
                return Err(Denied::Clash {
                    holder: holder.clone(),
                });
            }
        } else if self.held.len() >= MAX_ENTRIES && self.len(now) >= MAX_ENTRIES {
            return Err(Denied::Full);
        }
        if holder != Some(&entry) {
            self.version += 1;
        }
        let until = now + lease.0;
        let name = entry.name.clone();
        self.held.insert(
            name,
            Held {
                entry,
                lease,
                until,
            },
        );
        Ok(())
    }

    /// Prolongs a lease by its length from now. False when that instance does not
    /// hold the name (any more): it must register again.
    pub fn renew(&mut self, name: &Name, instance: u64, now: Duration) -> bool {
        let held = self.held.get_mut(name);
        let held = held.filter(|held| held.entry.instance == instance && now < held.until);
        if let Some(held) = held {
            held.until = now + held.lease.0;
            return true;
        }
        false
    }

    /// Gives a name up, if that instance holds it.
    pub fn unregister(&mut self, name: &Name, instance: u64) {
        if self
            .held
            .get(name)
            .is_some_and(|held| held.entry.instance == instance)
        {
            self.held.remove(name);
            self.version += 1;
        }
    }

    /// The entry of a name.
    pub fn look_up(&self, name: &Name, now: Duration) -> Option<&Entry> {
        let held = self.held.get(name).filter(|held| now < held.until)?;
        Some(&held.entry)
    }

    /// The entries whose name begins with the prefix, in the order of [`Name`]:
    /// `SERVER10` after `SERVER9`.
    pub fn list(&self, prefix: &str, now: Duration) -> impl Iterator<Item = &Entry> {
        self.held
            .values()
            .filter(move |held| now < held.until)
            .map(|held| &held.entry)
            .filter(move |entry| entry.name.as_str().starts_with(prefix))
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
        directory.register(entry.clone(), Lease::DEFAULT, None, ms(now))
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
        assert!(directory.renew(&one.name, 1, ms(2_999)));
        assert_eq!(directory.look_up(&one.name, ms(5_998)), Some(&one));
        assert_eq!(directory.look_up(&one.name, ms(5_999)), None);
        assert_eq!(names(&directory, "", 5_999), [""; 0]);
        assert!(!directory.renew(&one.name, 1, ms(5_999)), "too late");
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
    fn only_the_same_instance_renews_or_leaves() {
        let mut directory = Directory::default();
        let one = entry("SERVER1", 1, 1);
        register(&mut directory, &one, 0).unwrap();
        assert!(!directory.renew(&one.name, 2, ms(1)));
        directory.unregister(&one.name, 2);
        assert_eq!(directory.look_up(&one.name, ms(1)), Some(&one));
        directory.unregister(&one.name, 1);
        assert_eq!(directory.look_up(&one.name, ms(1)), None);
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
            .register(other.clone(), Lease::DEFAULT, Some(&holder), ms(2))
            .unwrap();
        assert_eq!(directory.look_up(&other.name, ms(2)), Some(&other));
    }

    #[test]
    fn a_name_that_changed_hands_during_the_dial_is_kept() {
        let mut directory = Directory::default();
        let (dead, first) = (entry("SERVER1", 1, 1), entry("SERVER1", 2, 2));
        let second = entry("SERVER1", 3, 3);
        register(&mut directory, &dead, 0).unwrap();
        let mut take =
            |entry: &Entry| directory.register(entry.clone(), Lease::DEFAULT, Some(&dead), ms(1));
        take(&first).unwrap();
        assert_eq!(take(&second), Err(Denied::Clash { holder: first }));
    }

    #[test]
    fn a_newcomer_at_the_holders_address_replaces_it() {
        let mut directory = Directory::default();
        let (gone, back) = (entry("SERVER1", 1, 1), entry("SERVER1", 1, 2));
        register(&mut directory, &gone, 0).unwrap();
        register(&mut directory, &back, 1).unwrap();
        assert_eq!(directory.look_up(&back.name, ms(1)), Some(&back));
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
