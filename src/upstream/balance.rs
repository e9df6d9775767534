//! Which server gets the next request. Pure: loads, weights and a cursor in, an index out.

/// What balancing knows of one server.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// 1 to 1000.
    pub weight: u32,
    /// Requests in flight and open tunnels.
    pub load: usize,
    /// Taken only when nothing else is left: it could not be reached a moment ago.
    pub suspect: bool,
    /// Not to be taken at all: tried already for this request, full, or taken out.
    pub barred: bool,
}

/// The order of a weighted round: each server as often as its weight says, spread as evenly as can be (the "smooth"
/// scheme of nginx). Weights are divided by their greatest common divisor first.
pub fn schedule(weights: &[u32]) -> Vec<u16> {
    let divisor = weights.iter().fold(0, |divisor, &weight| greatest_common_divisor(divisor, weight)).max(1);
    let shares: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = shares.iter().sum();
    let mut credit = vec![0_i64; shares.len()];
    (0..total)
        .map(|_| {
            credit.iter_mut().zip(&shares).for_each(|(credit, share)| *credit += share);
            let mut best = 0;
            for index in 1..credit.len() {
                if credit[index] > credit[best] {
                    best = index;
                }
            }
            credit[best] -= total;
            best as u16
        })
        .collect()
}

/// The next server of the round; suspects only when no other is left. `None` once all are barred.
pub fn round_robin(schedule: &[u16], cursor: usize, candidates: &[Candidate]) -> Option<usize> {
    let turn = |wanted: &dyn Fn(&Candidate) -> bool| {
        (0..schedule.len())
            .map(|step| usize::from(schedule[(cursor.wrapping_add(step)) % schedule.len()]))
            .find(|&index| wanted(&candidates[index]))
    };
    turn(&|candidate| !candidate.barred && !candidate.suspect).or_else(|| turn(&|candidate| !candidate.barred))
}

/// The server with the least load for its weight; equals take turns by `cursor`. `None` once all are barred.
pub fn least_load(cursor: usize, candidates: &[Candidate]) -> Option<usize> {
    let count = candidates.len();
    (0..count).map(|step| (cursor.wrapping_add(step)) % count).filter(|&index| !candidates[index].barred).min_by(
        |&left, &right| {
            let (left, right) = (&candidates[left], &candidates[right]);
            // (load + 1) / weight, compared without division.
            let left_cost = (left.load as u64 + 1) * u64::from(right.weight);
            let right_cost = (right.load as u64 + 1) * u64::from(left.weight);
            left.suspect.cmp(&right.suspect).then(left_cost.cmp(&right_cost))
        },
    )
}

/// The server that a key belongs to, by weighted rendezvous hashing: a server that goes takes only its own keys along.
/// `names` are hashes of the servers' addresses.
pub fn rendezvous(key: u64, names: &[u64], candidates: &[Candidate]) -> Option<usize> {
    let score = |index: usize| {
        let mixed = mix(key ^ names[index]);
        // A uniform number in (0, 1): 53 bits, never zero.
        let uniform = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(candidates[index].weight) / uniform.ln()
    };
    let best = |wanted: &dyn Fn(&Candidate) -> bool| {
        (0..candidates.len())
            .filter(|&index| wanted(&candidates[index]))
            .max_by(|&left, &right| score(left).total_cmp(&score(right)))
    };
    best(&|candidate| !candidate.barred && !candidate.suspect).or_else(|| best(&|candidate| !candidate.barred))
}

/// Spreads the bits of a number over all of them (the finisher of SplitMix64).
pub fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A stable hash of bytes (FNV-1a, then mixed); the same in every process, so that replicas agree.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)))
}

fn greatest_common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { greatest_common_divisor(right, left % right) }
}

#[cfg(test)]
mod tests;
