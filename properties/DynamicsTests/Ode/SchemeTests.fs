/// Schemes hold the order conditions and show their order.
module ValueFlow.Tests.Dynamics.Ode.SchemeTests

open System
open Xunit
open FsCheck
open FsCheck.FSharp
open FsCheck.Xunit
open TorchSharp
open ValueFlow.Core.Foundations.Arithmetic
open ValueFlow.Core.Dynamics
open ValueFlow.Tests.Dynamics.Ode.Fields

/// A rooted tree.
type Tree = Tree of Tree list

let rec private order (Tree children) : int = 1 + List.sumBy order children

let rec private density (Tree children as tree) : float =
    float (order tree) * (children |> List.fold (fun product child -> product * density child) 1.0)

// All rooted trees by order: 1, 1, 2, 4, 9, 20, 48, 115.
let private trees: Tree list[] =
    let all = Array.create 9 []

    for n in 1..8 do
        // Forests of a total order, with trees taken from a list in one direction only.
        let rec forests (left: int) (pool: Tree list) : Tree list list =
            if left = 0 then
                [ [] ]
            else
                match pool with
                | [] -> []
                | tree :: rest ->
                    (if order tree <= left then
                         forests (left - order tree) pool |> List.map (fun forest -> tree :: forest)
                     else
                         [])
                    @ forests left rest

        all[n] <- forests (n - 1) (List.concat all[1 .. n - 1]) |> List.map Tree

    all

[<Fact>]
let ``there are 1, 1, 2, 4, 9, 20, 48 and 115 rooted trees`` () =
    Assert.Equal<int list>([ 1; 1; 2; 4; 9; 20; 48; 115 ], [ for n in 1..8 -> trees[n].Length ])

// What a tree makes of the stages, and the same with absolute values: the size in which rounding is measured.
let rec private stagesOf (rows: Stage[]) (Tree children) : struct (float * float)[] =
    let inner =
        children
        |> List.map (fun child ->
            let values = stagesOf rows child

            rows
            |> Array.map (fun row ->
                row.From
                |> Array.mapi (fun j a -> let struct (v, size) = values[j] in struct (a * v, abs a * size))
                |> Array.fold (fun (struct (s, m)) (struct (v, size)) -> struct (s + v, m + size)) (struct (0.0, 0.0))))

    rows
    |> Array.mapi (fun i _ ->
        inner
        |> List.fold (fun (struct (p, m)) values -> let struct (v, size) = values[i] in struct (p * v, m * size)) (struct (1.0, 1.0)))

/// |sum_j w_j Phi_j(tree) - target| is at most 1e-14 in units of the sum of the sizes.
let private condition (rows: Stage[]) (weights: float[]) (target: float) (tree: Tree) : bool =
    let values = stagesOf rows tree
    let sum = Array.map2 (fun w (struct (v, _)) -> w * v) weights values |> Array.sum
    let size = Array.map2 (fun w (struct (_, s)) -> abs w * s) weights values |> Array.sum
    abs (sum - target) <= 1e-14 * (1.0 + size)

let private upTo (n: int) : Tree list = List.concat trees[1..n]

let private holdsOrder (n: int) (rows: Stage[]) (weights: float[]) : bool =
    upTo n |> List.forall (fun tree -> condition rows weights (1.0 / density tree) tree)

// c_i is the sum of row i, the weights have the order, the error vanishes on the trees of the embedded order.
let private holds (scheme: Scheme) : bool =
    let consistent =
        scheme.Stages
        |> Array.forall (fun stage -> abs (stage.At - Array.sum stage.From) <= 1e-14 * (1.0 + Array.sumBy abs stage.From))

    let vanishes (n: int) (weights: float[]) = upTo n |> List.forall (condition scheme.Stages weights 0.0)

    consistent
    && holdsOrder scheme.Order scheme.Stages scheme.Weights
    && match scheme.Error with
       | ErrorEstimate.Absent -> true
       | ErrorEstimate.Embedded weights -> vanishes scheme.EmbeddedOrder weights
       | ErrorEstimate.Blended(fifth, third) -> vanishes 5 fifth && vanishes 3 third

[<Fact>]
let ``every scheme holds the order conditions of its order and of its embedded order`` () =
    for scheme in Scheme.all do
        Assert.True(holds scheme, scheme.Name)

[<Fact>]
let ``no scheme holds the conditions of a higher order, nor its error estimate`` () =
    for scheme in Scheme.all do
        if scheme.Order < 8 then
            Assert.False(holdsOrder (scheme.Order + 1) scheme.Stages scheme.Weights, scheme.Name)

        match scheme.Error with
        | ErrorEstimate.Embedded weights ->
            Assert.False(upTo (scheme.EmbeddedOrder + 1) |> List.forall (condition scheme.Stages weights 0.0), scheme.Name)
        | _ -> ()

[<Property(MaxTest = 200)>]
let ``one coefficient that is off by 1e-9 is found`` (which: PositiveInt) (place: PositiveInt) =
    let scheme = Scheme.all[which.Get % Scheme.all.Length]
    // Stages of no weight, such as the last one of a pair that reuses it, are seen by the error estimate.
    let stages = scheme.Stages |> Array.indexed |> Array.filter (fun (_, stage) -> stage.From.Length > 0)
    let wrong (row: float[]) = let j = place.Get % row.Length in Array.mapi (fun i a -> if i = j then a + 1e-9 else a) row

    let spoiled =
        if stages.Length = 0 || place.Get % 2 = 0 then
            { scheme with Weights = wrong scheme.Weights }
        else
            let i, _ = stages[(place.Get / 2) % stages.Length]

            { scheme with
                Stages = scheme.Stages |> Array.mapi (fun k stage -> if k = i then { stage with From = wrong stage.From } else stage)
            }

    not (holds spoiled)

[<Property(MaxTest = 100)>]
let ``dense output holds the order conditions at every share of the step`` (which: PositiveInt) (place: PositiveInt) =
    let scheme = Scheme.all[which.Get % Scheme.all.Length]
    let theta = float (place.Get % 1001) / 1000.0
    let rows = Array.append scheme.Stages scheme.StepInterpolant.Stages
    let powers = scheme.StepInterpolant.Weights |> Array.map (Array.mapi (fun k w -> w * pown theta (k + 1)))
    let weights = powers |> Array.map Array.sum

    upTo scheme.StepInterpolant.Order
    |> List.forall (fun tree ->
        let values = stagesOf rows tree
        let sum = Array.map2 (fun w (struct (v, _)) -> w * v) weights values |> Array.sum
        let size = Array.map2 (fun row (struct (_, s)) -> Array.sumBy abs row * s) powers values |> Array.sum
        abs (sum - pown theta (order tree) / density tree) <= 1e-14 * (1.0 + size))

// ---- Measured order -------------------------------------------------------------------------------------------------

let private rms (a: float[]) : float = sqrt (a |> Array.averageBy (fun x -> x * x))

/// Two estimates of the order: the slope under halving of the step of the error e(n), and that of d(n) = e(n) - 2^(p + 1) e(2n), from which the next term is removed for the
/// claimed order p. Each is taken from the finest steps whose error lies sixty times above the random walk of rounding. Where the leading term of a scheme is so small that the next one
/// hides it, d shows it; where the factor 2^(p + 1) lifts rounding too high, e does. Of order p both have slope p; of a lower order both have that slope, of a higher one neither.
let private measuredOrders (claimed: int) (size: float) (error: int -> float[]) : float list =
    let known = System.Collections.Generic.Dictionary<int, float[]>()

    let e (n: int) =
        if not (known.ContainsKey n) then
            known[n] <- error n

        known[n]

    let estimate (lift: float) (value: int -> float) : float list =
        let rec refine (n: int) (best: float list) =
            if n > 128 || value (2 * n) < lift * size * 60.0 * 1.1e-16 * sqrt (4.0 * float n) then
                best
            else
                refine (2 * n) [ Math.Log2(value n / value (2 * n)) ]

        let mutable n = 2

        while rms (e n) > 0.02 && n < 128 do
            n <- 2 * n

        refine n []

    let factor = Math.ScaleB(1.0, claimed + 1)

    estimate 1.0 (fun n -> rms (e n))
    @ estimate factor (fun n -> rms (Array.map2 (fun a b -> a - factor * b) (e n) (e (2 * n))))

let private ordersOn (scheme: Scheme) (field: Field) (exact: float[]) (x: float[]) (span: float) : float list =
    let size = 1.0 + (exact |> Array.map abs |> Array.max)
    let at (n: int) = ends (OdeOptions.fixedStep scheme (span / float n)) field x 0.0 span
    measuredOrders scheme.Order size (fun n -> Array.map2 (-) (at n) exact)

let private starts = [| 1.0; 0.2; -0.7; 1.1; 0.4; -1.3; -1.0; -0.5 |]

let private near (claimed: int) (measured: float list) : bool = measured |> List.exists (fun slope -> abs (slope - float claimed) <= 0.2)

let private onLinear (scheme: Scheme) (draw: Draw) : bool =
    let size = sqrt (draw.Matrix |> Array.sumBy (fun a -> a * a))

    size < 0.1
    || (let matrix = draw.Matrix |> Array.map (fun a -> 2.0 * a / size)
        // Where every power of the matrix vanishes, so do the errors.
        let determinant = matrix[0] * matrix[3] - matrix[1] * matrix[2]

        abs determinant < 0.3
        || near scheme.Order (ordersOn scheme (linear matrix) (linearAt matrix 2.0 starts) starts 2.0))

[<Property(MaxTest = 40, Arbitrary = [| typeof<Draws> |])>]
let ``measured order: random linear systems against the matrix exponential`` (draw: Draw) (which: PositiveInt) =
    onLinear Scheme.all[which.Get % Scheme.all.Length] draw

[<Fact>]
let ``measured order: a field that depends on time, and the pendulum`` () =
    for scheme in Scheme.all do
        let grown = starts |> Array.map ((*) (exp (3.0 * sin 2.0)))
        let slopes = ordersOn scheme (swingingBy 3.0) grown starts 2.0
        Assert.True(near scheme.Order slopes, $"{scheme.Name} on {swinging.Name}: {slopes}")
        let exact = ends (OdeOptions.fixedStep Scheme.dormandPrince8 0.005) pendulum starts 0.0 3.0
        let slopes = ordersOn scheme pendulum exact starts 3.0
        Assert.True(near scheme.Order slopes, $"{scheme.Name} on {pendulum.Name}: {slopes}")

[<Fact>]
let ``measured order: a scheme with two weights off by a thousandth is refuted`` () =
    let scheme = Scheme.rungeKutta4
    let spoiled = { scheme with Weights = [| 1.0 / 6.0 + 1e-3; 1.0 / 3.0 - 1e-3; 1.0 / 3.0; 1.0 / 6.0 |] }
    Assert.True(refuted (onLinear spoiled))
    Assert.True(refuted (onLinear { Scheme.heun with Order = 3 }))

[<Fact>]
let ``evaluations per step are what a solve counts`` () =
    use _quiet = torch.no_grad ()

    for scheme in Scheme.all do
        use x0 = points starts
        use solution = Ode.solve (OdeOptions.fixedStep scheme 0.25) pendulum x0 0.0 2.0
        Assert.Equal(8, solution.Steps)
        // The slope at the start is evaluated once more where the last stage is kept for the next step.
        Assert.Equal(8 * scheme.EvaluationsPerStep + (if scheme.FirstSameAsLast then 1 else 0), solution.Evaluations)

// ---- Terms ----------------------------------------------------------------------------------------------------------

[<Property(MaxTest = 30, Arbitrary = [| typeof<Draws> |])>]
let ``increments of time add up, and a path that is time gives the ordinary equation`` (draw: Draw) =
    use _scope = torch.NewDisposeScope()
    let s, t, u = 0.0, draw.Shares[0], draw.Shares[0] + draw.Shares[1]
    let field = linear draw.Matrix
    let term = Term.time field
    let parts = (term.Control s t).Plus(term.Control t u).item<float>()
    let additive = abs (parts - (term.Control s u).item<float>()) <= 1e-15
    // One channel, whose path is time.
    let columns = Field.autonomous "columns" (fun x -> (field.Apply (torch.tensor 0.0) x).unsqueeze -1L)
    let path = Term.matrix columns (fun a b -> torch.tensor ([| b - a |], dtype = torch.float64))
    let x = points draw.Points

    additive
    && Scheme.all
       |> List.forall (fun scheme ->
           let one = RungeKutta.step scheme [ term ] s u x
           let two = RungeKutta.step scheme [ path ] s u x
           let twice = RungeKutta.step scheme [ term; path ] s u x
           // Two equal terms are one field of twice the size.
           let doubled = RungeKutta.step scheme [ Term.time (linear (Array.map ((*) 2.0) draw.Matrix)) ] s u x
           apart (numbers one) (numbers two) <= 1e-13 && apart (numbers twice) (numbers doubled) <= 1e-11)
