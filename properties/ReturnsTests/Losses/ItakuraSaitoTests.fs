/// Losses whose minimiser is a certainty equivalent: on finite laws, by direct minimisation; their gradients, shifts and limits; and the operator whose target they learn.
module ValueFlow.Tests.Returns.ItakuraSaitoTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open TorchSharp
open MathNet.Numerics.Distributions
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Core.Returns
open ValueFlow.Laws
open ValueFlow.Tests.Returns.Judge

type private Loss = float -> torch.Tensor -> torch.Tensor -> torch.Tensor

let private vector (numbers: float[]) : torch.Tensor = torch.tensor (numbers, dtype = torch.float64)

// A loss at one pair.
let private at (loss: Loss) (aversion: float) (value: float) (target: float) : float =
    Lifetime.within (fun () -> (loss aversion (vector [| value |]) (vector [| target |])).data<float>()[0])

// E l(V, y).
let private expected (loss: Loss) (aversion: float) (law: Distribution) (value: float) : float =
    Lifetime.within (fun () ->
        let losses = loss aversion (vector (Array.create law.Count value)) (vector (law.Atoms.ToArray()))
        Array.fold2 (fun sum p l -> sum + p * l) 0.0 (law.Masses.ToArray()) (losses.data<float>().ToArray()))

let private gradient (loss: Loss) (aversion: float) (value: float) (target: float) : float =
    Lifetime.within (fun () ->
        use y = vector [| target |]
        (Diff.grad (fun v -> (loss aversion v y).sum()) (vector [| value |])).data<float>()[0])

// Golden section.
let private minimiser (f: float -> float) (low: float) (high: float) : float =
    let ratio = 0.5 * (sqrt 5.0 - 1.0)

    let rec narrow a b c d fc fd left =
        if left = 0 then
            0.5 * (a + b)
        elif fc < fd then
            let c' = d - ratio * (d - a)
            narrow a d c' c (f c') fc (left - 1)
        else
            let d' = c + ratio * (b - c)
            narrow c b d d' fd (f d') (left - 1)

    let c, d = high - ratio * (high - low), low + ratio * (high - low)
    narrow low high c d (f c) (f d) 50

// Small whole numbers as quarters within two of zero, so that exponents stay small.
let private small (x: int) = float (x % 9) / 4.0

let private aversionOf (a: int) = float (1 + abs (a % 8)) / 4.0

[<Fact>]
let ``on finite laws the minimiser is the certainty equivalent; that of squares, of a tight clip and of the sigmoid weight is not`` () =
    let law (loss: Loss) (sketch: LawSketch, a: int) =
        let outcomes = Distribution.map (fun x -> float (int (4.0 * x) % 9) / 4.0) (lawOf sketch)
        let aversion = aversionOf a
        let found = minimiser (expected loss aversion outcomes) (outcomes.Minimum - 0.1) (outcomes.Maximum + 0.1)
        let value = (Entropy.certaintyEquivalent aversion).Value outcomes
        (abs (found - value) < 1e-5) |> Prop.label $"{found} minimises, CE is {value}"

    holds (law ItakuraSaito.loss)
    holds (law ItakuraSaito.exponentialSquares)
    holds (law (ItakuraSaito.clipped 20.0))
    refuted (law (ItakuraSaito.clipped 0.5))
    refuted (law (fun _ v y -> (v.sub y).mul(v.sub y)))
    refuted (law ItakuraSaito.softplus)

[<Fact>]
let ``the loss is convex, not negative, and zero where value and target agree; exponential squares are not convex`` () =
    let law (loss: Loss) (v: int, w: int, y: int, a: int) =
        let aversion, v, w, y = aversionOf a, small v, small w, small y
        let f x = at loss aversion x y

        atMost (f (0.5 * (v + w))) (0.5 * (f v + f w))
        .&. atMost 0.0 (f v)
        .&. same (f y) 0.0
        .&. ((v = y || f v > 0.0) |> Prop.label "positive elsewhere")

    holds (law ItakuraSaito.loss)
    holds (law (ItakuraSaito.clipped 1.0))
    refuted (law ItakuraSaito.exponentialSquares)
    refuted (law (fun a v y -> (ItakuraSaito.loss a v y).sub(ItakuraSaito.softplus a v y)))

[<Fact>]
let ``a shift of value and target changes nothing; exponential squares scale by exp(-2 a c)`` () =
    let law (loss: Loss) (factor: float -> float -> float) (v: int, y: int, c: int, a: int) =
        let aversion, v, y, c = aversionOf a, small v, small y, small c
        within 1e-9 (at loss aversion (v + c) (y + c)) (factor aversion c * at loss aversion v y)

    let still _ _ = 1.0
    let scaled a c = exp (-2.0 * a * c)
    holds (law ItakuraSaito.loss still)
    holds (law (ItakuraSaito.clipped 1.0) still)
    holds (law ItakuraSaito.softplus still)
    holds (law ItakuraSaito.exponentialSquares scaled)
    refuted (law ItakuraSaito.exponentialSquares still)
    refuted (law ItakuraSaito.loss scaled)

[<Fact>]
let ``gradients are those of the formulas, of the numerical twin, and of the step`` () =
    let law (loss: Loss) (formula: float -> float -> float) (v: int, y: int, a: int) =
        let aversion, v, y = aversionOf a, small v + 0.05, small y
        within 1e-9 (gradient loss aversion v y) (formula aversion (v - y))

    let itakuraSaito a gap = (exp (a * gap) - 1.0) / a
    let clipped bound a gap = (exp (min (a * gap) bound) - 1.0) / a
    holds (law ItakuraSaito.loss itakuraSaito)
    holds (law (ItakuraSaito.clipped 0.8) (clipped 0.8))
    holds (law ItakuraSaito.softplus (fun a gap -> 2.0 * gap / (1.0 + exp (-a * gap))))
    refuted (law ItakuraSaito.loss (fun a gap -> exp (a * gap) / a))
    refuted (law ItakuraSaito.loss (clipped 0.8))
    refuted (law (ItakuraSaito.clipped 0.8) itakuraSaito)

    let twin (loss: Loss) (v: int, y: int, a: int) =
        let aversion, v, y = aversionOf a, small v, small y
        let h = 1e-5
        let numerical = (at loss aversion (v + h) y - at loss aversion (v - h) y) / (2.0 * h)
        within 1e-4 (gradient loss aversion v y) numerical

    holds (twin ItakuraSaito.loss)
    holds (twin ItakuraSaito.exponentialSquares)
    holds (twin (ItakuraSaito.clipped 0.8))
    // The weight of the heuristic lets no gradient through.
    refuted (twin ItakuraSaito.softplus)

    let step (bound: float) (v: int, y: int, a: int) =
        let aversion, v, y = aversionOf a, small v, small y
        same (ItakuraSaito.step bound aversion 0.1 v y) (v - 0.1 * gradient (ItakuraSaito.clipped 0.8) aversion v y)

    holds (step 0.8)
    refuted (step 1.6)

[<Fact>]
let ``without aversion all are half the squared error`` () =
    let law (scale: float) (loss: Loss) (v: int, y: int) =
        let v, y = small v, small y
        within 1e-4 (at loss 1e-5 v y) (scale * (v - y) * (v - y))

    for loss in [ ItakuraSaito.loss; ItakuraSaito.clipped 1.0; ItakuraSaito.exponentialSquares; ItakuraSaito.softplus ] do
        holds (law 0.5 loss)
        refuted (law 1.0 loss)

[<Fact>]
let ``the sigmoid weight is right for normal targets, and for two outcomes it is not`` () =
    // 4000 midpoints of equal mass of N(1, 0.5^2): the mean gradient at m - a s^2 / 2.
    let mean (law: Distribution) aversion value = law.Expect(fun y -> 2.0 * (value - y) / (1.0 + exp (-aversion * (value - y))))
    let normal = Distribution.ofNumbers (Array.init 4000 (fun i -> Normal.InvCDF(1.0, 0.5, (float i + 0.5) / 4000.0)))

    for aversion in [ 0.5; 1.0; 2.0 ] do
        Assert.Equal(0.0, mean normal aversion (1.0 - aversion * 0.125), 3)
        Assert.True(abs (mean normal aversion (1.0 - aversion * 0.25)) > 0.01)

    let coin = Distribution.ofAtoms [| 0.0; 4.0 |] [| 0.2; 0.8 |]
    let value = (Entropy.certaintyEquivalent 2.0).Value coin
    Assert.True(abs (mean coin 2.0 value) > 0.1, $"{mean coin 2.0 value}")

[<Fact>]
let ``a loss leaves one tensor behind, and names bad input`` () =
    use v = vector [| 0.0; 1.0 |]
    use y = vector [| 1.0; 1.0 |]

    for loss in [ ItakuraSaito.loss; ItakuraSaito.clipped 3.0; ItakuraSaito.exponentialSquares; ItakuraSaito.softplus ] do
        let mutable result = v
        Assert.Equal(1L, Lifetime.born (fun () -> result <- loss 0.5 v y))
        result.Dispose()
        refuses "aversion" "0" (fun () -> loss 0.0 v y)
        refuses "aversion" "NaN" (fun () -> loss nan v y)
        use three = vector [| 0.0; 0.0; 0.0 |]
        refuses "targets" "3" (fun () -> loss 1.0 v three)

    refuses "bound" "-1" (fun () -> ItakuraSaito.clipped -1.0 1.0 v y)

// max over a of CE_b[r + g V], by the functional on the law of outcomes: the plain form of what the losses learn.
let private plain (outside: bool) (aversion: float) (model: Model) (discount: float) (values: float[]) : float[] =
    let functional = Entropy.certaintyEquivalent aversion
    let g k = discount * (if model.Continuations.Length = 0 then 1.0 else model.Continuations[k])

    let value row =
        let transitions = [| model.Offsets[row] .. model.Offsets[row + 1] - 1 |]
        let masses = transitions |> Array.map (fun k -> model.Probabilities[k])
        let total = Array.sum masses

        let law f = Distribution.ofAtoms (transitions |> Array.map f) (masses |> Array.map (fun mass -> mass / total))

        if outside then
            (law (fun k -> model.Rewards[k])).Mean
            + discount * functional.Value(law (fun k -> values[model.Successors[k]]))
        else
            functional.Value(law (fun k -> model.Rewards[k] + g k * values[model.Successors[k]]))

    Array.init model.StateCount (fun s ->
        if model.IsTerminal s then
            0.0
        else
            Seq.max (seq { for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 -> value row }))

[<Fact>]
let ``the entropic operator with the discount inside: monotone, passes constants on, contracts, and equals the functional on outcomes`` () =
    let entropic = Subject.bellman (Entropic 0.7) (fun _ -> Extreme Direction.Maximise)
    let verdict law subject = (Law.checkWith (LawOptions(Cases = 300, MaximumSeconds = 20.0)) law subject).Verdict

    let family name apply =
        Subject.family name (fun model discount ->
            { (Bellman.Create(model, discount, Entropic 0.7, Extreme Direction.Maximise)).Operator with
                Name = name
                Apply = apply model discount
                ApplyInto = ValueNone
            })

    let equality outside = Law.equality 1e-6 (family "plain" (plain outside 0.7))
    Assert.Equal(Verdict.Holds, verdict Law.monotonicity entropic)
    Assert.Equal(Verdict.Holds, verdict Law.translation entropic)
    Assert.Equal(Verdict.Holds, verdict Law.contraction entropic)
    Assert.Equal(Verdict.Holds, verdict (equality false) entropic)
    // The discount outside of the certainty equivalent is another operator.
    Assert.Equal(Verdict.Refuted, verdict (equality true) entropic)
    // Costs taken for rewards; no discount; a factor on what the operator gives.
    Assert.Equal(Verdict.Refuted, verdict Law.monotonicity (family "sign" (fun model g v -> plain false 0.7 model g (Array.map (~-) v))))
    Assert.Equal(Verdict.Refuted, verdict Law.contraction (family "undiscounted" (fun model _ v -> plain false 0.7 model 1.0 v)))

    Assert.Equal(
        Verdict.Refuted,
        verdict Law.translation (family "factor" (fun model g v -> plain false 0.7 model g v |> Array.map ((*) 1.1)))
    )
