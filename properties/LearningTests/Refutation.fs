/// Laws over random inputs, and the proof that a law can fail: its mutants.
module ValueFlow.LearningTests.Refutation

open System
open Xunit
open FsCheck
open FsCheck.FSharp

/// Checks a law on random inputs; a failure prints the shrunk counterexample.
let holds (tests: int) (law: 'input -> 'testable) : unit =
    Check.One(Config.QuickThrowOnFailure.WithReplay(1UL, 1UL).WithMaxTest(tests), law)

/// A law must find a counterexample to the mutant.
let refuted (law: 'input -> 'testable) : unit =
    Assert.ThrowsAny<Exception>(fun () -> Check.One(Config.QuickThrowOnFailure.WithReplay(1UL, 1UL).WithMaxTest(200), law))
    |> ignore

/// The two numbers agree up to a share of their size and of one.
let near (tolerance: float) (expected: float) (found: float) : Property =
    (abs (expected - found) <= tolerance * (1.0 + abs expected))
    |> Prop.label $"expected {expected}, found {found}"

/// All numbers agree, as above.
let allNear (tolerance: float) (expected: float[]) (found: float[]) : Property =
    if expected.Length <> found.Length then
        false |> Prop.label $"expected {expected.Length} numbers, found {found.Length}"
    else
        match Seq.zip expected found |> Seq.tryFindIndex (fun (a, b) -> not (abs (a - b) <= tolerance * (1.0 + abs a))) with
        | None -> Prop.ofTestable true
        | Some i -> false |> Prop.label $"at {i}: expected {expected[i]}, found {found[i]}"
