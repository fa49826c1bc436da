/// Random batches as plain data that prints and shrinks, and the kernels' answers on them.
module ValueFlow.Tests.Returns.Losses.Sketches

open System
open FsCheck
open FsCheck.FSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Returns

/// A batch of laws on a support, to be bootstrapped. Bytes fold into ranges: whatever is drawn makes sense.
type ProjectionSketch =
    {
        Seed: int
        Rows: byte
        Atoms: byte
        /// 0: any rewards and discounts; 1: rewards on the grid and discount 1, so that atoms land on atoms; 2: nothing can be clipped; 3: terminated.
        Kind: byte
    }

type ProjectionCase = { Support: Support; Rewards: float32[]; Discounts: float32[]; Masses: float32[] }

let projectionCase (sketch: ProjectionSketch) : ProjectionCase =
    let generator = Generator sketch.Seed
    let rows, atoms = 1 + int sketch.Rows % 9, 2 + int sketch.Atoms % 70
    // Ends and gaps that binary fractions hold exactly.
    let gap = 0.25 * float (1 + generator.Below 8)
    let least = -0.25 * float (generator.Below 60)
    let support = Support(least, least + gap * float (atoms - 1), atoms)

    let law () =
        let weights = Array.init atoms (fun _ -> if generator.Uniform() < 0.3 then 0.0 else generator.Uniform())
        let total = Array.sum weights
        weights |> Array.map (fun w -> float32 (if total > 0.0 then w / total else 1.0 / float atoms))

    let kind = int sketch.Kind % 4

    let discount =
        if kind = 1 then 1.0
        elif kind = 3 then 0.0
        else 0.5 * float (generator.Below 3)

    let reward () =
        match kind with
        | 1 -> gap * float (generator.Below(2 * atoms) - atoms)
        | 2 ->
            // least (1 - c) <= r <= largest (1 - c).
            (1.0 - discount) * (support.Least + generator.Uniform() * support.Range)
        | _ -> support.Least + (2.0 * generator.Uniform() - 0.5) * support.Range

    {
        Support = support
        Rewards = Array.init rows (fun _ -> float32 (reward ()))
        Discounts = Array.create rows (float32 discount)
        Masses = Array.init rows (fun _ -> law ()) |> Array.concat
    }

/// A projection under test: projected masses and the clipped mass.
type Projection = ProjectionCase -> float32[] * float

let fused (threads: int) : Projection =
    fun case ->
        let projected = Array.create case.Masses.Length nanf

        let lost =
            CategoricalKernel.project
                case.Support
                threads
                (ReadOnlySpan case.Rewards)
                (ReadOnlySpan case.Discounts)
                (ReadOnlySpan case.Masses)
                (Span projected)

        projected, lost

/// The definition: sum over j of p(j) max(0, 1 - |y(j) - z(i)| / gap), in float64.
let plain: Projection =
    fun case ->
        let support, count = case.Support, case.Support.Count
        let atoms = support.Atoms
        let mutable lost = 0.0

        let rows =
            case.Rewards
            |> Array.mapi (fun b reward ->
                let masses = Array.sub case.Masses (b * count) count |> Array.map float
                let free = atoms |> Array.map (fun z -> float reward + float case.Discounts[b] * z)
                let places = free |> Array.map (fun y -> Math.Clamp(y, support.Least, support.Largest))

                Array.iter2
                    (fun (y, place) mass ->
                        if abs (y - place) > 1e-4 * support.Gap then
                            lost <- lost + mass)
                    (Array.zip free places)
                    masses

                Array.init count (fun i ->
                    float32 (
                        Array.fold2 (fun sum y p -> sum + p * Math.Max(0.0, 1.0 - abs (y - atoms[i]) / support.Gap)) 0.0 places masses
                    )))

        Array.concat rows, lost

/// A batch of predictions and targets.
type QuantileSketch =
    {
        Seed: int
        Rows: byte
        Predictions: byte
        Targets: byte
        Kappa: byte
        Divides: bool
        /// Numbers on a coarse grid: ties, and differences of exactly kappa, are common.
        Ties: bool
    }

type QuantileCase = { Rule: QuantileRule; Rows: int; Predictions: float32[]; Targets: float32[] }

let quantileCase (sketch: QuantileSketch) : QuantileCase =
    let generator = Generator sketch.Seed
    let rows, n, m = 1 + int sketch.Rows % 5, 1 + int sketch.Predictions % 21, 1 + int sketch.Targets % 37

    let number () =
        let x = 6.0 * generator.Uniform() - 3.0
        float32 (if sketch.Ties then Math.Round(2.0 * x) / 2.0 else x)

    {
        Rule =
            {
                Levels =
                    if generator.Below 2 = 0 then
                        QuantileRule.midpoints n
                    else
                        Array.init n (fun _ -> 0.01 + 0.98 * generator.Uniform())
                Kappa = [| 0.0; 0.01; 0.5; 1.0; 3.0 |][int sketch.Kappa % 5]
                DividesByKappa = sketch.Divides
            }
        Rows = rows
        Predictions = Array.init (rows * n) (fun _ -> number ())
        Targets = Array.init (rows * m) (fun _ -> number ())
    }

/// A quantile loss under test: its value and its gradient.
type QuantileLoss = QuantileCase -> float * float[]

let private kernel (solve: QuantileCase -> float32[] -> float) : QuantileLoss =
    fun case ->
        let gradient = Array.create case.Predictions.Length nanf
        let loss = solve case gradient
        loss, Array.map float gradient

let pairwise (threads: int) : QuantileLoss =
    kernel (fun case gradient ->
        QuantileKernel.pairwise case.Rule threads (ReadOnlySpan case.Predictions) (ReadOnlySpan case.Targets) (Span gradient))

let sorted (threads: int) : QuantileLoss =
    kernel (fun case gradient ->
        QuantileKernel.sorted case.Rule threads (ReadOnlySpan case.Predictions) (ReadOnlySpan case.Targets) (Span gradient))

/// The definition, pair by pair in float64; what a mutant changes is an argument.
let definition (weigh: float -> float -> float) (factor: QuantileRule -> float) (share: int -> int -> int -> float) : QuantileLoss =
    fun case ->
        let rule = case.Rule
        let n, m = rule.Levels.Length, case.Targets.Length / case.Rows
        let gradient = Array.zeroCreate case.Predictions.Length
        let mutable loss = 0.0
        let scale = factor rule * share case.Rows n m

        for b in 0 .. case.Rows - 1 do
            for i in 0 .. n - 1 do
                for j in 0 .. m - 1 do
                    let d = float case.Targets[b * m + j] - float case.Predictions[b * n + i]
                    let weight = weigh rule.Levels[i] d
                    let k = rule.Kappa
                    let huber = if abs d <= k && k > 0.0 then d * d / (2.0 * k) else abs d - 0.5 * k
                    let slope = if k > 0.0 then Math.Clamp(d / k, -1.0, 1.0) else float (sign d)
                    loss <- loss + scale * weight * huber
                    gradient[b * n + i] <- gradient[b * n + i] - scale * weight * slope

        loss, gradient

/// |t - 1{d < 0}|.
let asymmetric (level: float) (d: float) = if d < 0.0 then 1.0 - level else level

/// Divided by kappa or not, as the rule says.
let byRule (rule: QuantileRule) = if rule.DividesByKappa || rule.Kappa = 0.0 then 1.0 else rule.Kappa

/// Mean over rows, sum over predictions, mean over targets.
let sumThenMean (rows: int) (_: int) (targets: int) = 1.0 / (float rows * float targets)

/// All numbers agree up to a share of their size and of one.
let allWithin (tolerance: float) (expected: float[]) (found: float[]) : Property =
    if expected.Length <> found.Length then
        false |> Prop.label $"{expected.Length} numbers expected, {found.Length} found"
    else
        match Seq.zip expected found |> Seq.tryFindIndex (fun (a, b) -> not (abs (a - b) <= tolerance * (1.0 + abs a))) with
        | None -> Prop.ofTestable true
        | Some i -> false |> Prop.label $"at {i}: expected {expected[i]}, found {found[i]}"

/// The same, as a plain answer.
let isNear (tolerance: float) (expected: float[]) (found: float[]) : bool =
    expected.Length = found.Length
    && Array.forall2 (fun a b -> abs (a - b) <= tolerance * (1.0 + abs a)) expected found
