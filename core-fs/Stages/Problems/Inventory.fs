namespace ValueFlow.Core.Stages

open System
open ValueFlow.Core.Foundations

/// A stock of several products that share the capacity of one supplier. In every stage the demand is seen, then goods are ordered up to the capacity; what is
/// left is held, what is missing is lost. When demand rises later than the capacity allows, one has to stock up before.
type Inventory =
    {
        /// For each product the mean of its demand before the stage's factor.
        Means: float[]
        /// For each product the cost of a unit ordered.
        Order: float[]
        /// For each product the cost of a unit held to the next stage.
        Holding: float[]
        /// For each product the cost of a unit of demand that is lost.
        Penalty: float[]
        /// The demands that may come before the stage's factor: for each of them, all as likely, one number a product.
        Demands: float[][]
        /// For each stage what demands are multiplied by.
        Factors: float[]
        /// Units that can be ordered in a stage, all products together.
        Capacity: float
    }

/// Makes inventory problems.
[<RequireQualifiedAccess>]
module Inventory =

    /// A random instance: means U[2, 6], order costs U[1, 2], holding U[0.1, 0.4], penalties U[4, 8], demands max(0, mean + 1.5 N), capacity 10; little demand in the
    /// first half of the stages (factor 0.4), much in the second (1.6).
    let random (products: int) (stages: int) (demands: int) (generator: Generator) : Inventory =
        for name, value in [ nameof products, products; nameof stages, stages; nameof demands, demands ] do
            if value < 1 then
                invalidArg name $"{name} must be at least 1 but are {value}"

        let uniform low high = Array.init products (fun _ -> low + (high - low) * generator.Uniform())
        let means = uniform 2.0 6.0
        let order, holding, penalty = uniform 1.0 2.0, uniform 0.1 0.4, uniform 4.0 8.0

        {
            Means = means
            Order = order
            Holding = holding
            Penalty = penalty
            Demands = Array.init demands (fun _ -> means |> Array.map (fun m -> Math.Max(0.0, m + 1.5 * Sampling.normal generator)))
            Factors = Array.init stages (fun t -> if t < stages / 2 then 0.4 else 1.6)
            Capacity = 10.0
        }

    /// The multistage program from an empty stock. Variables of a stage: orders, stock, lost sales, one each a product, and the capacity that is left; the state
    /// is the stock.
    let problem (instance: Inventory) : MultistageProblem =
        let n = instance.Means.Length

        let matrix =
            Array2D.init (n + 1) (3 * n + 1) (fun i j ->
                if i < n then
                    if j = i || j = 2 * n + i then 1.0
                    elif j = n + i then -1.0
                    else 0.0
                elif j < n || j = 3 * n then
                    1.0
                else
                    0.0)

        let recall = Array2D.init (n + 1) n (fun i j -> if i = j then 1.0 else 0.0)

        let stage factor =
            {
                Cost = Array.concat [ instance.Order; instance.Holding; instance.Penalty; [| 0.0 |] ]
                Matrix = matrix
                Recall = recall
                Noises =
                    instance.Demands
                    |> Array.map (fun demand ->
                        {
                            Probability = 1.0 / float instance.Demands.Length
                            Right = Array.append (demand |> Array.map (fun d -> factor * d)) [| instance.Capacity |]
                        })
                State = [| n .. 2 * n - 1 |]
            }

        MultistageProblem.create 0.0 (Array.zeroCreate n) (instance.Factors |> Array.map stage)

    /// The same instance with its products in another order: product k of the result is product order[k]. Throws an ArgumentException unless the order names each
    /// product once.
    let reordered (order: int[]) (instance: Inventory) : Inventory =
        if Array.sort order <> [| 0 .. instance.Means.Length - 1 |] then
            invalidArg (nameof order) $"order must name each of {instance.Means.Length} products once but is %A{order}"

        let turned (values: float[]) = order |> Array.map (fun i -> values[i])

        { instance with
            Means = turned instance.Means
            Order = turned instance.Order
            Holding = turned instance.Holding
            Penalty = turned instance.Penalty
            Demands = instance.Demands |> Array.map turned
        }

    /// For each stage but the last the least and the largest slope, one number a product, that the expected cost of what follows it can have in the stock: a unit
    /// saves at most a lost sale, and costs at most its holding to the end.
    let slopes (instance: Inventory) : struct (float[] * float[])[] =
        let count = instance.Factors.Length

        Array.init (count - 1) (fun t ->
            struct (instance.Penalty |> Array.map (fun p -> -p), instance.Holding |> Array.map (fun h -> h * float (count - 1 - t))))

    /// What a predictor is told of an instance: for each product its costs, the mean of its demands and their spread; and mean and spread of their sum.
    let context (instance: Inventory) : float[] =
        let summary (values: float[]) =
            let mean = Array.average values
            [| mean; sqrt (values |> Array.averageBy (fun x -> (x - mean) * (x - mean))) |]

        Array.concat
            [
                instance.Order
                instance.Holding
                instance.Penalty
                for i in 0 .. instance.Means.Length - 1 do
                    summary (instance.Demands |> Array.map (fun demand -> demand[i]))
                summary (instance.Demands |> Array.map Array.sum)
            ]
