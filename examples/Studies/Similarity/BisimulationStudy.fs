namespace ValueFlow.Studies

open System
open Microsoft.Data.Analysis
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values

/// P065: how alike states are, by what they earn and what follows.
[<Sealed>]
type BisimulationStudy() =
    inherit
        Study(
            "bisimulation",
            "A",
            "How alike states are",
            "Copies of states in a Garnet, points that shrink, a drift that is known by samples: distances against what is known of them, values against distances, and the price of treating states as one."
        )

    let same = ActionMatching.SameAction
    let discount = 0.9

    let built (builder: ModelBuilder) =
        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")

    // Each state of a Garnet several times, next to one another, with rewards that are off by at most the blur; what follows is any of the copies.
    let copies (generator: Generator) (times: int) (blur: float) (model: Model) : Model =
        let builder = ModelBuilder(times * model.StateCount)

        for s in 0 .. model.StateCount - 1 do
            for copy in 0 .. times - 1 do
                for row in model.RowOffsets[s] .. model.RowOffsets[s + 1] - 1 do
                    let shares = Sampling.simplex generator times
                    let off = blur * (2.0 * generator.Uniform() - 1.0)

                    for k in model.Offsets[row] .. model.Offsets[row + 1] - 1 do
                        for other in 0 .. times - 1 do
                            builder.Add(
                                times * s + copy,
                                model.RowActions[row],
                                times * model.Successors[k] + other,
                                model.Probabilities[k] * shares[other],
                                model.Rewards[k] + off
                            )

        built builder

    let optimal options model = (PolicyIteration.solve options (Bellman.Optimality(model, discount))).Values

    let pairs count =
        seq {
            for s in 0 .. count - 1 do
                for t in s + 1 .. count - 1 -> struct (s, t)
        }

    // x' = x / 2 + 0.4 times one of 401 even numbers in [-1, 1], on a grid of 21 points in [-1, 1], with the reward x.
    let places = Array.init 21 (fun i -> -1.0 + 0.1 * float i)
    let line = Representatives.OnLine places
    let next (x: float) (noise: int) = 0.5 * x + 0.4 * (float noise / 200.0 - 1.0)

    let driftModel () =
        let builder = ModelBuilder places.Length

        places
        |> Array.iteri (fun s x ->
            let law = Array.zeroCreate<float> places.Length

            for noise in 0..400 do
                for struct (place, share) in line.Stand [| next x noise |] do
                    law[place] <- law[place] + share / 401.0

            law |> Array.iteri (fun place p -> builder.Add(s, 0, place, p, x)))

        built builder

    let heat title (model: Model) (d: float[]) : Figure =
        let count = model.StateCount
        MapFigure(title, "distance d*", count, count, d, Array.create (count * count) (struct (0, 0)), Array.create (count * count) ' ')

    override _.Run(seed, quick, progress, cancellation) =
        let options = { RunOptions.standard with Cancellation = cancellation }
        let precise = { options with Tolerance = 1e-9 }
        let generator = Generator seed

        // Copies, exact and blurred.
        progress.Invoke "copies of states"
        let original = Garnet.create (generator.Split()) 6 3 3
        let twice = copies (generator.Split()) 2 0.0 original
        let exact = Bisimulation.Create(twice, 1.0, discount, same)
        let distances = exact.Solve precise
        let d = distances.Value
        let values = optimal precise twice
        let ofCopies = Seq.max (seq { for s in 0..5 -> d[2 * s * 12 + 2 * s + 1] })

        let tightest =
            pairs 12
            |> Seq.filter (fun (struct (s, t)) -> s / 2 <> t / 2)
            |> Seq.map (fun (struct (s, t)) -> abs (values[s] - values[t]) / d[s * 12 + t])
            |> Seq.max

        let slowest =
            Seq.unfold (fun x -> Some(x, exact.Operator.Apply x)) (Array.zeroCreate<float> 144)
            |> Seq.take 60
            |> Seq.mapi (fun n x -> (Metric.sup.Distance x d - distances.Bound) / exact.BoundAfter n)
            |> Seq.max

        // Classes of copies that are not quite alike.
        progress.Invoke "classes"
        let blurred = copies (generator.Split()) 4 0.02 original
        let many = Bisimulation.Create(blurred, 1.0, discount, same)
        let found = many.Solve { options with Tolerance = 1e-6 }
        let above = found.Value |> Array.map (fun x -> x + found.Bound)
        let truth = optimal precise blurred
        let sorted = pairs 24 |> Seq.map (fun (struct (s, t)) -> above[s * 24 + t]) |> Seq.sort |> Array.ofSeq

        let diameters = [| 0.02; 0.05; 0.1; 0.13; 0.3; 0.5; 0.7; 0.9; 1.0 |] |> Array.map (fun share -> sorted[int (share * 275.0)])

        let aggregated =
            diameters
            |> Array.map (fun diameter -> Aggregation.aggregate many above discount (Aggregation.clusters many above diameter))

        let errors =
            aggregated
            |> Array.map (fun smaller -> Metric.sup.Distance (smaller.Lift(optimal precise smaller.Model)) truth)

        let shares =
            Array.map2
                (fun error (smaller: AggregatedModel) -> if smaller.Bound > 0.0 then error / smaller.Bound else 0.0)
                errors
                aggregated

        // Points that shrink: s' = s / 2.
        progress.Invoke "points that shrink"
        let rho, last = 0.5, 48
        let points = Array.append (Array.init (last + 1) (fun k -> Math.Pow(rho, float k))) [| 0.0 |]
        let builder = ModelBuilder points.Length
        points |> Array.iteri (fun k s -> builder.Add(k, 0, min (k + 1) (last + 1), 1.0, s))
        let shrinking = Bisimulation.Create(built builder, 1.0, discount, same)
        let shrunk = (shrinking.Solve precise).Value

        let closed =
            pairs points.Length
            |> Seq.map (fun (struct (i, j)) -> abs (shrunk[i * points.Length + j] - abs (points[i] - points[j]) / (1.0 - discount * rho)))
            |> Seq.max

        // A drift that is known by samples.
        let drift = Bisimulation.Create(driftModel (), 1.0, discount, same)
        let ideal = Array.init (21 * 21) (fun k -> abs (places[k / 21] - places[k % 21]) / (1.0 - 0.5 * discount))
        let solvedDrift = (drift.Solve { options with Tolerance = 1e-7 }).Value
        let counts = if quick then [| 16; 64; 256 |] else [| 16; 64; 256; 1024; 4096 |]
        let repeats = if quick then 4 else 12

        let sampled =
            counts
            |> Array.map (fun count ->
                progress.Invoke $"a drift known by {count} samples a point"

                Array.init repeats (fun _ ->
                    let step (own: Generator) (x: float[]) _ = struct ([| next x[0] (own.Below 401) |], x[0])
                    let model = line.Sample(1, count, generator.Split(), step, cancellation)
                    let estimate = Bisimulation.Create(model, 1.0, discount, same)
                    let error = Metric.sup.Distance (estimate.Solve { options with Tolerance = 1e-6 }).Value ideal
                    struct (error, drift.Perturbation(estimate, ideal))))

        let errorOf = Array.map (fun (struct (error, _)) -> error)
        let boundOf = Array.map (fun (struct (_, bound)) -> bound)
        let means = sampled |> Array.map (errorOf >> Array.average)
        let bounds = sampled |> Array.map (boundOf >> Array.average)
        let x, y = counts |> Array.map (float >> log), means |> Array.map log
        let mx, my = Array.average x, Array.average y
        let slope = Array.sum (Array.map2 (fun a b -> (a - mx) * (b - my)) x y) / Array.sumBy (fun a -> (a - mx) * (a - mx)) x
        let worst = sampled |> Array.concat |> Array.map (fun (struct (error, bound)) -> error / bound) |> Array.max
        let source = "Ferns, Panangaden and Precup 2004"

        {
            Findings =
                [|
                    Findings.exact
                        "12 states, two copies of each: largest distance between copies"
                        0.0
                        Relation.Equals
                        1e-12
                        "bisimilar states"
                        ofCopies
                    Findings.exact
                        "the same: |V*(s) - V*(t)| over d*(s, t), largest of all other pairs"
                        1.0
                        Relation.AtMost
                        1e-6
                        source
                        tightest
                    Findings.exact "the same: error of n steps over its bound, largest of 60 steps" 1.0 Relation.AtMost 1e-9 source slowest
                    Findings.exact
                        "classes of 24 states: error of aggregated values over the bound, largest of nine diameters"
                        1.0
                        Relation.AtMost
                        1e-6
                        source
                        (Array.max shares)
                    Findings.exact
                        "points that shrink: largest difference to |s - t| / (1 - c_T rho)"
                        0.0
                        Relation.Equals
                        1e-6
                        "closed form"
                        closed
                    Findings.exact
                        "a drift with noise, its law known: largest difference to |x - y| / (1 - c_T rho)"
                        0.0
                        Relation.Equals
                        1e-6
                        "closed form"
                        (Metric.sup.Distance solvedDrift ideal)
                    Findings.exact
                        "the drift by n samples a point: slope of the error in n, on two logarithmic axes"
                        -0.5
                        Relation.Equals
                        0.1
                        "O(n^(-1/2)): Ferns, Panangaden and Precup 2011"
                        slope
                    Findings.exact
                        "the same: error over the perturbation bound, largest of all samples"
                        1.0
                        Relation.AtMost
                        1e-6
                        "two models' fixed points, by the contraction"
                        worst
                |]
            Tables =
                [|
                    struct ("Classes of 24 states (four blurred copies of six), by the largest distance within a class",
                            DataFrame(
                                DoubleDataFrameColumn("diameter", diameters),
                                DoubleDataFrameColumn("classes", aggregated |> Array.map (fun smaller -> float smaller.Classes.Length)),
                                DoubleDataFrameColumn("bound on the values", aggregated |> Array.map _.Bound),
                                DoubleDataFrameColumn("error of the values", errors)
                            ))
                    struct ("A drift by samples: error of distances (mean), and the bound on it",
                            DataFrame(
                                DoubleDataFrameColumn("samples", counts |> Array.map float),
                                DoubleDataFrameColumn("error", means),
                                DoubleDataFrameColumn("bound", bounds)
                            ))
                |]
            Figures =
                [|
                    heat "Distances between 24 states: four blurred copies each of six" blurred found.Value
                    LineFigure(
                        "A drift by samples: error of distances",
                        "samples of each point",
                        "sup |d - d*|",
                        [|
                            Worlds.curve "error, mean" (counts |> Array.map float) means
                            Worlds.curve "bound, mean" (counts |> Array.map float) bounds
                        |],
                        true,
                        true,
                        false,
                        [| -0.5 |]
                    )
                    LineFigure(
                        "Values of classes, by the largest distance within a class",
                        "diameter",
                        "sup |V - V*|",
                        [| Worlds.curve "bound" diameters (aggregated |> Array.map _.Bound); Worlds.curve "error" diameters errors |],
                        true
                    )
                |]
            Notes =
                [|
                    "The bound on values of classes is a worst case over all models with these distances: here it is many times the error."
                    "A sampled law's error is that of the mean over a few hundred pairs of points at once, and so is its bound."
                |]
        }
