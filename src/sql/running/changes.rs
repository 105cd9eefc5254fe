//! Values that have come for groups since a window was last read, brought together by group.

/// Values by group, in the order in which they came.
#[derive(Debug, Default)]
pub struct Changes {
    /// By group its place in `groups`, or [`NONE`].
    places: Vec<u32>,
    /// The groups, with how many values each has.
    groups: Vec<(u32, u32)>,
    /// The place of each value's group in `groups`, and the value.
    values: Vec<(u32, i64)>,
    gathered: Vec<i64>,
}

/// So many values are not worth giving memory back for.
const FEW: usize = 1 << 12;

/// A group without values.
const NONE: u32 = u32::MAX;

impl Changes {
    /// Makes room for groups below `groups`.
    pub fn grow(&mut self, groups: usize) {
        if groups > self.places.len() {
            self.places.resize(groups, NONE);
        }
    }

    /// Notes a group's values.
    pub fn extend(&mut self, group: u32, values: impl ExactSizeIterator<Item = i64>) {
        let held = &mut self.places[group as usize];
        if *held == NONE {
            *held = self.groups.len() as u32;
            self.groups.push((group, 0));
        }
        let place = *held;
        self.groups[place as usize].1 += values.len() as u32;
        self.values.extend(values.map(|value| (place, value)));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for (group, _) in self.groups.drain(..) {
            self.places[group as usize] = NONE;
        }
        let used = self.values.len().max(FEW);
        self.values.clear();
        self.gathered.clear();
        // A window that is filled at once brings more than the slides that follow.
        if self.values.capacity() > 4 * used {
            self.values.shrink_to(2 * used);
            self.gathered.shrink_to(2 * used);
        }
    }

    /// Brings the values together by group, each group's in ascending order.
    pub fn gather(&mut self) -> ByGroup<'_> {
        let mut next: Vec<u32> = Vec::with_capacity(self.groups.len());
        let mut start = 0;
        for (_, count) in &self.groups {
            next.push(start);
            start += *count;
        }
        self.gathered.clear();
        self.gathered.resize(start as usize, 0);
        for (place, value) in &self.values {
            let slot = &mut next[*place as usize];
            self.gathered[*slot as usize] = *value;
            *slot += 1;
        }
        let mut start = 0;
        for end in &next {
            self.gathered[start..*end as usize].sort_unstable();
            start = *end as usize;
        }
        ByGroup { changes: self, ends: next }
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        self.places.capacity() * 4
            + self.groups.capacity() * 8
            + self.values.capacity() * 16
            + self.gathered.capacity() * 8
    }
}

/// Values by group, ascending.
#[derive(Debug)]
pub struct ByGroup<'a> {
    changes: &'a Changes,
    /// Where each group's values end.
    ends: Vec<u32>,
}

impl ByGroup<'_> {
    /// The groups that have values, with these.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &[i64])> {
        let groups = self.changes.groups.iter().enumerate();
        groups.map(|(place, (group, _))| (*group, self.at(place)))
    }

    /// One group's values.
    pub fn of(&self, group: u32) -> &[i64] {
        match self.changes.places.get(group as usize) {
            Some(place) if *place != NONE => self.at(*place as usize),
            Some(_) | None => &[],
        }
    }

    fn at(&self, place: usize) -> &[i64] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.changes.gathered[start as usize..self.ends[place] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_by_group_and_sorted() {
        let mut changes = Changes::default();
        changes.grow(5);
        changes.extend(3, [4, 1].into_iter());
        changes.extend(0, [7].into_iter());
        changes.extend(3, [2].into_iter());
        let gathered = changes.gather();
        let listed: Vec<(u32, &[i64])> = gathered.groups().collect();
        assert_eq!(listed, [(3, &[1, 2, 4][..]), (0, &[7])]);
        assert_eq!((gathered.of(0), gathered.of(1), gathered.of(9)), (&[7][..], &[][..], &[][..]));
        changes.clear();
        assert_eq!(changes.gather().groups().count(), 0);
        assert_eq!(changes.gather().of(3), &[] as &[i64]);
    }
}
