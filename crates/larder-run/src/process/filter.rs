//! The filter program that a watched command installs: which calls are asked about.
//!
//! All else is let go within the kernel. Calls of another architecture (32-bit programs, the x32 numbers) are all asked
//! about, because their numbers mean other things.

use libc::sock_filter;

/// The architecture that Larder was built for, in the kernel's words.
#[cfg(target_arch = "x86_64")]
const OWN: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const OWN: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OWN: Option<u32> = None;

/// From here on, numbers of x86-64 are those of x32.
const X32: u32 = 0x4000_0000;

const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// The program; empty where there can be none (another architecture, or too many calls for its short jumps).
pub(super) fn program(calls: &[u32]) -> Vec<sock_filter> {
    let (Some(own), Ok(count)) = (OWN, u8::try_from(calls.len())) else { return Vec::new() };
    let Some(to_end) = count.checked_add(3) else { return Vec::new() };
    let mut program = vec![
        step(LOAD, 0, 0, ARCHITECTURE_AT),
        step(IS, 0, to_end, own),
        step(LOAD, 0, 0, NUMBER_AT),
        step(AT_LEAST, count.wrapping_add(1), 0, X32),
    ];
    for (at, &call) in (0_u8..).zip(calls) {
        program.push(step(IS, count.wrapping_sub(at), 0, call));
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    program
}

/// The call's number, if it is one of this machine's own architecture.
pub(super) fn own_number(architecture: u32, number: i32) -> Option<u32> {
    let number = u32::try_from(number).ok()?;
    (OWN == Some(architecture) && number < X32).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{AT_LEAST, IS, LOAD, OWN, program};

    /// What the program says of a call.
    fn run(calls: &[u32], architecture: u32, number: u32) -> u32 {
        let program = program(calls);
        let (mut at, mut value) = (0_usize, 0);
        loop {
            let step = &program[at];
            at += 1;
            let holds = match step.code {
                LOAD => {
                    value = if step.k == 0 { number } else { architecture };
                    continue;
                }
                IS => value == step.k,
                AT_LEAST => value >= step.k,
                _ => return step.k,
            };
            at += usize::from(if holds { step.jt } else { step.jf });
        }
    }

    #[test]
    fn listed_and_foreign_calls_are_asked_about_and_no_others() {
        let Some(own) = OWN else { return };
        let calls: Vec<u32> = (0..90).map(|n| n * 3).collect();
        for number in 0..400 {
            let listed = calls.contains(&number);
            let wanted = if listed { libc::SECCOMP_RET_USER_NOTIF } else { libc::SECCOMP_RET_ALLOW };
            assert_eq!(run(&calls, own, number), wanted, "{number}");
            assert_eq!(run(&calls, 0x4000_0003, number), libc::SECCOMP_RET_USER_NOTIF);
        }
        assert_eq!(run(&calls, own, 0x4000_0001), libc::SECCOMP_RET_USER_NOTIF);
        assert!(super::program(&vec![1; 300]).is_empty(), "short jumps reach no further");
    }
}
