/// The linear assignment problem: optimal, certified, and blind to order and origin.
module ValueFlow.Tests.Flows.AssignmentTests

open System
open System.Threading
open Xunit
open FsCheck
open FsCheck.FSharp
open Google.OrTools.Graph
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations
open ValueFlow.Tests.Flows.Judge

let private assign (costs: float[,]) = (Assignment.solve costs).Columns
let private total (costs: float[,]) (columns: int[]) = columns |> Array.mapi (fun i j -> costs[i, j]) |> Array.sum
let private costsOf pairs = samples pairs ||> squares

/// The cheapest column first come, first served: no optimal pairing.
let private greedy (costs: float[,]) =
    let taken = Array.create (costs.GetLength 0) false

    Array.init taken.Length (fun i ->
        let j = Seq.init taken.Length id |> Seq.filter (fun j -> not taken[j]) |> Seq.minBy (fun j -> costs[i, j])
        taken[j] <- true
        j)

// The oracle: OR-Tools in whole numbers; sketches are quarters, so that 16 times a squared distance is whole.
let private oracle (costs: float[,]) =
    let solver = new LinearSumAssignment()
    costs |> Array2D.iteri (fun i j c -> solver.AddArcWithCost(i, j, int64 (16.0 * c)) |> ignore)
    Assert.Equal(LinearSumAssignment.Status.OPTIMAL, solver.Solve())
    float (solver.OptimalCost()) / 16.0

let private optimal (solve: float[,] -> int[]) (pairs: Pairs) =
    let costs = costsOf pairs
    same (total costs (solve costs)) (oracle costs)

[<Fact>]
let ``the cost is that of OR-Tools`` () =
    holds (optimal assign)
    refuted (optimal greedy)

let private belowIdentity (solve: float[,] -> int[]) (pairs: Pairs) =
    let costs = costsOf pairs
    atMost (total costs (solve costs)) (total costs (Array.init (costs.GetLength 0) id))

[<Fact>]
let ``the cost is not above that of the pairs as they come`` () =
    holds (belowIdentity assign)
    refuted (belowIdentity greedy)

let private certified (solve: float[,] -> Assignment) (pairs: Pairs) =
    let costs = costsOf pairs
    let found = solve costs
    let n = costs.GetLength 0

    let feasible =
        Seq.forall
            (fun (i, j) -> found.RowPrices[i] + found.ColumnPrices[j] <= costs[i, j] + 1e-9)
            (Seq.allPairs [ 0 .. n - 1 ] [ 0 .. n - 1 ])

    (feasible |> Prop.label "feasible")
    .&. same found.Cost (total costs found.Columns)
    .&. same found.Gap 0.0
    .&. same found.DualValue (Array.sum found.RowPrices + Array.sum found.ColumnPrices)
    .&. ((Array.sort found.Columns = Array.init n id) |> Prop.label "a permutation")

[<Fact>]
let ``prices are feasible, and their sum is the cost`` () =
    holds (certified Assignment.solve)

    // Prices that a dearer pairing leaves are not enough.
    let doubled costs =
        let found = Assignment.solve costs
        Assignment(found.Columns, found.RowPrices |> Array.map (fun u -> u + 0.25), found.ColumnPrices, found.Cost, found.DualValue)

    refuted (certified doubled)

let private cyclicMonotone (solve: float[,] -> int[]) (pairs: Pairs, seed: int) =
    let costs = costsOf pairs
    let columns = solve costs
    let generator = Generator seed

    Seq.init 20 (fun _ ->
        let cycle = Sampling.distinct generator (1 + generator.Below columns.Length) columns.Length
        let here = cycle |> Array.sumBy (fun i -> costs[i, columns[i]])
        let turned = cycle |> Array.mapi (fun k i -> costs[i, columns[cycle[(k + 1) % cycle.Length]]]) |> Array.sum
        atMost here turned)
    |> Seq.reduce (.&.)

[<Fact>]
let ``no cycle of pairs is cheaper when it is turned`` () =
    holds (cyclicMonotone assign)
    refuted (cyclicMonotone greedy)

// Without ties the pairing is unique: a distinct irrational amount on every cost.
let private untied (costs: float[,]) = costs |> Array2D.mapi (fun i j c -> c + 1e-3 * (sqrt (float (2 + 7 * i + 31 * j * j + i * j)) % 1.0))

let private equivariant (solve: float[,] -> int[]) (pairs: Pairs, seed: int) =
    let costs = costsOf pairs |> untied
    let n = costs.GetLength 0
    let generator = Generator seed
    let rows, columns = Sampling.distinct generator n n, Sampling.distinct generator n n
    let shuffled = Array2D.init n n (fun i j -> costs[rows[i], columns[j]])
    let plain, moved = solve costs, solve shuffled

    (Array.forall (fun i -> columns[moved[i]] = plain[rows[i]]) [| 0 .. n - 1 |])
    |> Prop.label $"%A{plain} %A{moved}"

[<Fact>]
let ``permuted rows and columns permute the pairing`` () =
    holds (equivariant assign)
    refuted (equivariant (fun costs -> Array.init (costs.GetLength 0) id))

let private shiftInvariant (solve: Sample -> Sample -> int[]) (pairs: Pairs, struct (dx: int, dy: int)) =
    let first, second = samples pairs

    let moved =
        Sample.OfPoints(Array.init second.Count (fun j -> second.Point j |> Array.mapi (fun k x -> x + float (if k = 0 then dx else dy))))

    let costs = squares first second
    // Ties may be broken differently: the plan for the moved sample must be as good for the one in place.
    same (total costs (solve first moved)) (total costs (solve first second))

[<Fact>]
let ``for squared distances the pairing does not see a shift`` () =
    holds (shiftInvariant (fun a b -> (Assignment.ofSamples SquaredEuclidean CancellationToken.None a b).Columns))
    refuted (shiftInvariant (fun a b -> (Assignment.ofSamples Euclidean CancellationToken.None a b).Columns))

[<Theory>]
[<InlineData(33)>]
[<InlineData(130)>]
[<InlineData(300)>]
let ``larger problems: random, tied, duplicated and constant costs are certified`` (n: int) =
    let generator = Generator n
    let random = Array2D.init n n (fun _ _ -> generator.Uniform() - 0.5)

    for costs in
        [
            random
            Array2D.create n n 3.5
            Array2D.init n n (fun _ _ -> float (generator.Below 3))
            Array2D.init n n (fun i j -> float (abs (i % 4 - j % 7)))
            Array2D.init n n (fun i j -> float (i * j))
            random |> Array2D.map (fun c -> 1e12 * c)
        ] do
        let found = Assignment.solve costs
        let size = costs |> Seq.cast<float> |> Seq.fold (fun most c -> max most (abs c)) 0.0
        Assert.Equal<int[]>(Array.init n id, Array.sort found.Columns)
        Assert.InRange(found.Gap, -1e-10 * size, 1e-10 * size)

let private storedOf (costs: float[,]) : Costs =
    let stored = StoredCosts(costs.GetLength 0)

    for i in 0 .. stored.Size - 1 do
        let entries: Span<float> = stored.Entries i

        for j in 0 .. stored.Size - 1 do
            entries[j] <- costs[i, j]

    stored

[<Theory>]
[<InlineData(33)>]
[<InlineData(300)>]
[<InlineData(700)>]
let ``paths on short lists and paths on whole rows are equally cheap`` (n: int) =
    let generator = Generator n
    let points () = Sample.OfPoints(Array.init n (fun _ -> [| generator.Uniform(); generator.Uniform() |]))

    for costs in
        [
            squares (points ()) (points ())
            Array2D.init n n (fun _ _ -> generator.Uniform() - 0.5)
            Array2D.init n n (fun _ _ -> float (generator.Below 3))
            Array2D.init n n (fun i j -> float (i * j) / float n)
        ] do
        let whole, listed = Assignment.solve costs, Assignment.solveListed (storedOf costs)
        Assert.Equal<int[]>(Array.init n id, Array.sort listed.Columns)
        Assert.Equal(whole.Cost, listed.Cost, 8)
        Assert.InRange(listed.Gap, -1e-9, 1e-9)

// How many columns outside a list are cheaper than its bound, after all prices were moved.
let private missed (seed: int) (move: float -> float) : int =
    let n = 300
    let generator = Generator seed
    let costs = storedOf (Array2D.init n n (fun _ _ -> generator.Uniform()))
    let prices = (AssignmentState n).Prices
    let lists = AssignmentShortlists(costs, prices)

    for row in 0 .. n - 1 do
        lists.Extend row

    for j in 0 .. n - 1 do
        prices[j] <- prices[j] + move (generator.Uniform())

    seq {
        for row in 0 .. n - 1 do
            let outside = Array.except (lists.Columns row) [| 0 .. n - 1 |]
            Assert.NotEmpty outside
            yield! outside |> Seq.filter (fun j -> costs.Entry(row, j) - prices[j] < lists.Bound row)
    }
    |> Seq.length

[<Fact>]
let ``while prices fall, no column outside a short list is cheaper than its bound`` () =
    Assert.Equal(0, missed 1 (fun u -> -u))
    // Prices that rise are the mutant.
    Assert.NotEqual(0, missed 1 id)

[<Fact>]
let ``points in many dimensions, stored costs and computed costs agree`` () =
    let generator = Generator 3
    let draw d = Sample.OfPoints(Array.init 200 (fun _ -> Array.init d (fun _ -> Sampling.normal generator)))

    for d in [ 1; 3; 5; 16 ] do
        let first, second = draw d, draw d
        let found = Assignment.ofSamples SquaredEuclidean CancellationToken.None first second
        Assert.Equal((Assignment.solve (squares first second)).Cost, found.Cost, 9)
        Assert.InRange(found.Gap, -1e-10, 1e-10)

[<Fact>]
let ``bad input is named`` () =
    refuses "costs" "0 x 0" (fun () -> Assignment.solve (Array2D.zeroCreate 0 0))
    refuses "costs" "2 x 3" (fun () -> Assignment.solve (Array2D.zeroCreate 2 3))
    refuses "costs" "(1, 0)" (fun () -> Assignment.solve (array2D [ [ 0.0; 1.0 ]; [ nan; 0.0 ] ]))
    refuses "points" "point 1" (fun () -> Sample.OfPoints [| [| 0.0 |]; [| infinity |] |])
    refuses "points" "point 1 has 2" (fun () -> Sample.OfPoints [| [| 0.0 |]; [| 1.0; 2.0 |] |])
    refuses "points" "none" (fun () -> Sample.OfPoints [||])
    let plane, line = Sample.OfPoints [| [| 0.0; 0.0 |] |], Sample.OfNumbers [| 1.0; 2.0 |]
    refuses "target" "1" (fun () -> Assignment.ofSamples Euclidean CancellationToken.None plane line)
    refuses "target" "1 and 2" (fun () -> Assignment.ofSamples Euclidean CancellationToken.None (Sample.OfNumbers [| 1.0 |]) line)
    refuses "weights" "weight 0" (fun () -> line.Weighted [| -1.0; 2.0 |])
    refuses "weights" "length" (fun () -> line.Weighted [| 1.0 |])
    Assert.Equal<int[]>([| 0 |], (Assignment.solve (array2D [ [ 7.0 ] ])).Columns)

[<Fact>]
let ``a cancelled assignment ends`` () =
    let generator = Generator 9
    let draw () = Sample.OfPoints(Array.init 100 (fun _ -> [| Sampling.normal generator; Sampling.normal generator |]))
    let cancelled = CancellationToken true

    Assert.ThrowsAny<OperationCanceledException>(fun () -> Assignment.ofSamples SquaredEuclidean cancelled (draw ()) (draw ()) |> ignore)
    |> ignore
