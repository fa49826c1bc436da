namespace ValueFlow.Core.Values

/// Taxi: fetch a passenger at one of four places and bring them to another. State = ((row * 5 + column) * 5 + passenger) * 4 + destination, the
/// passenger at place 0..3 or, 4, in the taxi. Actions: south, north, east, west, pick up, drop off. A move earns -1, a wrong pick-up or
/// drop-off -10, the right drop-off 20 and the end. Dietterich 2000, "Hierarchical reinforcement learning with the MAXQ value function decomposition".
[<RequireQualifiedAccess>]
module Taxi =

    let private map = [| "|R: | : :G|"; "| : | : : |"; "| : : : : |"; "| | : | : |"; "|Y| : |B: |" |]
    let private places = [| 0, 0; 0, 4; 4, 0; 4, 3 |]

    /// The state of a taxi at a row and a column, a passenger (4: in the taxi) and a destination.
    let state (row: int) (column: int) (passenger: int) (destination: int) : int = ((row * 5 + column) * 5 + passenger) * 4 + destination

    // Where an action leads, and what it earns.
    let private step row column passenger destination action =
        let stay reward = struct (state row column passenger destination, reward)

        match action with
        | 0 -> struct (state (min 4 (row + 1)) column passenger destination, -1.0)
        | 1 -> struct (state (max 0 (row - 1)) column passenger destination, -1.0)
        | 2 when map[row].[2 * column + 2] = ':' -> struct (state row (column + 1) passenger destination, -1.0)
        | 3 when map[row].[2 * column] = ':' -> struct (state row (column - 1) passenger destination, -1.0)
        | 2
        | 3 -> stay -1.0
        | 4 when passenger < 4 && places[passenger] = (row, column) -> struct (state row column 4 destination, -1.0)
        | 4 -> stay -10.0
        | _ when passenger = 4 && places[destination] = (row, column) -> struct (state row column destination destination, 20.0)
        | _ when passenger = 4 && Array.contains (row, column) places ->
            struct (state row column (Array.findIndex ((=) (row, column)) places) destination, -1.0)
        | _ -> stay -10.0

    /// The model of 500 states; it starts with the passenger waiting elsewhere than at the destination. A state with the passenger at the
    /// destination is terminal where the taxi just arrived there; elsewhere nobody comes to it, and it goes on like any other.
    let create () : Model =
        let builder = ModelBuilder 500
        builder.ActionNames [| "south"; "north"; "east"; "west"; "pick up"; "drop off" |]
        let names = Array.create 500 ""
        let place = [| "R"; "G"; "Y"; "B"; "taxi" |]

        for row in 0..4 do
            for column in 0..4 do
                for passenger in 0..4 do
                    for destination in 0..3 do
                        let s = state row column passenger destination
                        names[s] <- $"({row},{column}) {place[passenger]}->{place[destination]}"

                        if passenger < 4 && passenger <> destination then
                            builder.Initial s

                        if passenger = destination && places[destination] = (row, column) then
                            builder.Label("delivered", s, -1)
                            builder.Terminal s
                        else
                            for action in 0..5 do
                                let struct (next, reward) = step row column passenger destination action
                                builder.Add(s, action, next, 1.0, reward)

        builder.StateNames names

        match builder.Build() with
        | Ok model -> model
        | Error errors -> invalidOp (errors |> List.map ModelError.describe |> String.concat "; ")
