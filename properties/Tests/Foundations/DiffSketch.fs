/// Random smooth functions as plain data that prints and shrinks, and laws on them.
module ValueFlow.Tests.Foundations.DiffSketch

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// A smooth function of the coordinates, one number.
type Expression =
    /// A coordinate; those beyond the last begin again.
    | X of int
    | Number of float
    | Sum of Expression * Expression
    | Product of Expression * Expression
    | Sin of Expression
    | Tanh of Expression
    /// e^(sin ...): smooth and bounded.
    | ExpSin of Expression

/// A function into numbers (the first part) or vectors (all parts), a point, and a direction.
type Sketch = { Parts: Expression list; Point: float list; Along: float list }

let rec evaluate (x: torch.Tensor) (expression: Expression) : torch.Tensor =
    match expression with
    | X i -> x.select (0L, int64 i % x.shape[0])
    | Number c -> torch.tensor (c, dtype = torch.float64)
    | Sum(a, b) -> (evaluate x a).Plus(evaluate x b)
    | Product(a, b) -> (evaluate x a).mul(evaluate x b)
    | Sin a -> (evaluate x a).sin()
    | Tanh a -> (evaluate x a).tanh()
    | ExpSin a -> (evaluate x a).sin().exp()

/// The first part as a function into numbers.
let scalar (sketch: Sketch) (x: torch.Tensor) : torch.Tensor = evaluate x sketch.Parts.Head

/// As many parts as asked for, beginning again, as a function into vectors.
let parts (count: int) (sketch: Sketch) (x: torch.Tensor) : torch.Tensor =
    torch.stack (Array.init count (fun i -> evaluate x sketch.Parts[i % sketch.Parts.Length]), 0L)

/// A function of R^n into itself.
let square (sketch: Sketch) (x: torch.Tensor) : torch.Tensor = parts (int x.shape[0]) sketch x

let vector (numbers: float list) : torch.Tensor = torch.tensor (Array.ofList numbers, dtype = torch.float64)

let numbers (tensor: torch.Tensor) : float[] =
    Lifetime.within (fun () -> ((tensor.detach ()).reshape(-1L).contiguous().clone()).data<float>().ToArray())

let rec private shrinkExpression (expression: Expression) : Expression seq =
    seq {
        match expression with
        | X i ->
            if i > 0 then
                X 0
        | Number c ->
            if c <> 1.0 then
                Number 1.0
        | Sum(a, b) ->
            yield! [ a; b ]
            yield! shrinkExpression a |> Seq.map (fun a -> Sum(a, b))
            yield! shrinkExpression b |> Seq.map (fun b -> Sum(a, b))
        | Product(a, b) ->
            yield! [ a; b ]
            yield! shrinkExpression a |> Seq.map (fun a -> Product(a, b))
            yield! shrinkExpression b |> Seq.map (fun b -> Product(a, b))
        | Sin a ->
            a
            yield! shrinkExpression a |> Seq.map Sin
        | Tanh a ->
            a
            yield! shrinkExpression a |> Seq.map Tanh
        | ExpSin a ->
            a
            yield! shrinkExpression a |> Seq.map ExpSin
    }

let private shrinkNumber (x: float) : float seq =
    [ 0.0; 1.0; Math.Round x; Math.Round(x, 1) ]
    |> Seq.filter (fun y -> y <> x && abs y <= abs x + 0.5 && (x <> 0.0 && x <> 1.0))
    |> Seq.distinct

let rec private one (shrink: 'a -> 'a seq) (list: 'a list) : 'a list seq =
    match list with
    | [] -> Seq.empty
    | head :: tail -> Seq.append (shrink head |> Seq.map (fun head -> head :: tail)) (one shrink tail |> Seq.map (fun tail -> head :: tail))

let private shrinkSketch (sketch: Sketch) : Sketch seq =
    seq {
        if sketch.Point.Length > 1 then
            { sketch with Point = sketch.Point.Tail; Along = sketch.Along.Tail }

        if sketch.Parts.Length > 1 then
            { sketch with Parts = sketch.Parts.Tail }
            { sketch with Parts = [ sketch.Parts.Head ] }

        yield! one shrinkExpression sketch.Parts |> Seq.map (fun parts -> { sketch with Parts = parts })
        yield! one shrinkNumber sketch.Point |> Seq.map (fun point -> { sketch with Point = point })
        yield! one shrinkNumber sketch.Along |> Seq.map (fun along -> { sketch with Along = along })
    }

let private number: Gen<float> = Gen.choose (-1500, 1500) |> Gen.map (fun n -> float n / 1000.0)

let rec private expression (size: int) : Gen<Expression> =
    let leaf = Gen.frequency [ 5, Gen.choose (0, 3) |> Gen.map X; 1, Gen.map Number number ]

    if size <= 0 then
        leaf
    else
        let part = expression (size - 1)

        Gen.frequency
            [
                1, leaf
                2, Gen.map2 (fun a b -> Sum(a, b)) part part
                3, Gen.map2 (fun a b -> Product(a, b)) part part
                1, Gen.map Sin part
                1, Gen.map Tanh part
                1, Gen.map ExpSin part
            ]

let private sketches (dimensions: int * int) : Arbitrary<Sketch> =
    let generator =
        gen {
            let! size = Gen.choose dimensions
            let! count = Gen.choose (1, 4)
            let! parts = Gen.listOfLength count (expression 3)
            let! point = Gen.listOfLength size number
            let! along = Gen.listOfLength size number
            return { Parts = parts; Point = point; Along = along }
        }

    let shrink sketch = shrinkSketch sketch |> Seq.filter (fun smaller -> smaller.Point.Length >= fst dimensions)
    Arb.fromGenShrink (generator, shrink)

/// What a law finds wrong, if anything.
type Finding = string option

/// Two lists of numbers agree within a tolerance relative to their size.
let agree (tolerance: float) (expected: float[]) (found: float[]) : Finding =
    let size = Seq.append expected found |> Seq.fold (fun largest x -> max largest (abs x)) 1.0

    if expected.Length <> found.Length then
        Some $"{expected.Length} numbers are expected but there are {found.Length}"
    else
        Seq.zip expected found
        |> Seq.tryFind (fun (e, f) -> not (abs (e - f) <= tolerance * size))
        |> Option.map (fun (e, f) -> $"{f} but expected {e}")

/// Rounding of exact derivatives.
let exactly = agree 1e-10

/// A law: what it finds at a sketch, with the point and the direction as tensors; all that it makes is freed.
type Law = Sketch -> torch.Tensor -> torch.Tensor -> Finding

let private run (cases: int) (dimensions: int * int) (law: Law) =
    let judge (sketch: Sketch) =
        let finding = Lifetime.within (fun () -> law sketch (vector sketch.Point) (vector sketch.Along))
        finding.IsNone |> Prop.label (Option.defaultValue "" finding)

    Check.One(
        Config.QuickThrowOnFailure.WithMaxTest(cases).WithReplay(1UL, 1UL).WithQuietOnSuccess(true),
        Prop.forAll (sketches dimensions) judge
    )

/// The law holds in dimensions 1 to 4.
let holds (law: Law) : unit = run 100 (1, 4) law

/// The law, whose every case is dear, holds in dimensions 1 to 3.
let holdsInFew (law: Law) : unit = run 25 (1, 3) law

/// The law holds in three dimensions.
let holdsInSpace (law: Law) : unit = run 60 (3, 3) law

/// The law refutes the mutant, and the counterexample was shrunk.
let refutes (law: Law) : unit =
    let error = Assert.ThrowsAny<exn>(fun () -> run 300 (1, 4) law)
    Assert.Contains("shrunk", error.Message, StringComparison.OrdinalIgnoreCase)

/// The same in three dimensions.
let refutesInSpace (law: Law) : unit =
    let error = Assert.ThrowsAny<exn>(fun () -> run 300 (3, 3) law)
    Assert.Contains("shrunk", error.Message, StringComparison.OrdinalIgnoreCase)
